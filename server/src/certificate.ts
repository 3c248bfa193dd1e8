/** The certificate of the listener: read at start, and again when it is renewed. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, watch } from "node:fs";
import path from "node:path";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import type { Logger } from "./logger.ts";

export interface CertificateFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export class Certificate {
  /** What was read last and is sound. */
  files: CertificateFiles;
  readonly #paths: Readonly<Record<keyof CertificateFiles, string>>;
  readonly #logger: Logger;

  /** @throws ConfigError that names the file. */
  constructor(paths: NonNullable<Config["http"]["tls"]>, logger: Logger) {
    this.#paths = paths;
    this.#logger = logger;
    this.files = this.#read();
  }

  /**
   * Calls back with a renewed certificate; the returned function stops that. The folders are watched, not the
   * files: renewal replaces a file or a link, and who watches the old file hears of nothing afterwards.
   */
  follow(renewed: (files: CertificateFiles) => void): () => void {
    const folders = new Set(Object.values(this.#paths).map((file) => path.dirname(path.resolve(file))));
    const watchers = [...folders].map((folder) => {
      const watcher = watch(folder, { persistent: false }, () => this.#reload(renewed));
      watcher.on("error", (error) => this.#logger.error({ error }, "the certificate is not watched any more"));
      return watcher;
    });
    return () => {
      for (const watcher of watchers) watcher.close();
    };
  }

  #reload(renewed: (files: CertificateFiles) => void): void {
    let files: CertificateFiles;
    try {
      files = this.#read();
    } catch {
      // Half written, or the new key is not there yet: the next event finds it whole.
      return;
    }
    if (files.cert.equals(this.files.cert) && files.key.equals(this.files.key)) return;
    this.files = files;
    renewed(files);
    this.#logger.info("the certificate was renewed");
  }

  #read(): CertificateFiles {
    const cert = this.#readFile("cert");
    const key = this.#readFile("key");
    const certificate = understood(`http.tls.cert is no certificate in PEM: ${this.#paths.cert}`, () => {
      return new X509Certificate(cert);
    });
    const privateKey = understood(`http.tls.key is no private key in PEM: ${this.#paths.key}`, () => {
      return createPrivateKey(key);
    });
    if (!certificate.checkPrivateKey(privateKey)) {
      throw new ConfigError([`http.tls.key ${this.#paths.key} does not belong to http.tls.cert ${this.#paths.cert}`]);
    }
    return { cert, key };
  }

  #readFile(name: keyof CertificateFiles): Buffer {
    try {
      return readFileSync(this.#paths[name]);
    } catch (error) {
      throw new ConfigError(
        [`http.tls.${name} cannot be read (${error instanceof Error ? error.message : String(error)})`],
        { cause: error },
      );
    }
  }
}

function understood<T>(problem: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError([problem], { cause: error });
  }
}
