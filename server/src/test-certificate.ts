/** A certificate for `localhost`, signed by itself, for tests of TLS. */
import { spawnSync } from "node:child_process";
import path from "node:path";

/** Whether there is a program to make one with. */
export const CAN_CERTIFY: boolean = spawnSync("openssl", ["version"]).status === 0;

/** Makes `NAME.pem` and `NAME.key` in the folder, with NAME as its subject. */
export function certify(folder: string, name: string): { readonly cert: string; readonly key: string } {
  const cert = path.join(folder, `${name}.pem`);
  const key = path.join(folder, `${name}.key`);
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  const subject = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost"];
  const { status, stderr } = spawnSync("openssl", ["req", "-x509", ...kind, "-keyout", key, "-out", cert, ...subject], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`openssl made no certificate: ${stderr}`);
  return { cert, key };
}
