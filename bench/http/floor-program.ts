/** Answers every request as if it had published what is in it. Called with its port. */
import { createServer } from "node:http";

interface Request {
  readonly commands?: readonly object[];
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const { commands } = JSON.parse(Buffer.concat(chunks).toString()) as Request;
    const body = JSON.stringify(commands ? { replies: commands.map(() => ({ publish: {} })) } : { result: {} });
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
    response.end(body);
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
process.stdin.resume().on("end", () => process.exit());
