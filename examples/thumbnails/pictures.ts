/** Where pictures lie: a folder in which each has the SHA-256 of its content as its name, so that a repeat changes nothing. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";

const HASH = /^[0-9a-f]{64}$/;

export class Pictures {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Keeps a picture and returns its hash. */
  async keep(picture: Uint8Array): Promise<string> {
    const hash = createHash("sha256").update(picture).digest("hex");
    await this.#write(this.original(hash), picture);
    return hash;
  }

  /** Keeps the thumbnail of the picture with this hash; a second one takes the place of the first. */
  keepThumbnail(hash: string, thumbnail: Uint8Array): Promise<void> {
    return this.#write(this.thumbnail(hash), thumbnail);
  }

  /** @throws RangeError for what is no hash: it could lead out of the folder. */
  original(hash: string): string {
    return this.#path("originals", hash, "");
  }

  /** @throws RangeError */
  thumbnail(hash: string): string {
    return this.#path("thumbnails", hash, ".webp");
  }

  #path(kind: string, hash: string, end: string): string {
    if (!HASH.test(hash)) throw new RangeError(`${JSON.stringify(hash)} is no SHA-256 in hexadecimal`);
    return path.join(this.#folder, kind, `${hash}${end}`);
  }

  /** Whole or not at all: a worker that is killed leaves no half of a file under the name. */
  async #write(file: string, content: Uint8Array): Promise<void> {
    await mkdir(path.dirname(file), { recursive: true });
    const begun = `${file}.${randomUUID()}`;
    try {
      await writeFile(begun, content);
      await rename(begun, file);
    } finally {
      await rm(begun, { force: true });
    }
  }
}
