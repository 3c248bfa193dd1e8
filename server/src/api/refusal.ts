import type { TodokuError } from "@todoku/protocol";

/** A refusal of a whole request, with the HTTP status that it is answered with. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly refused: TodokuError;

  constructor(status: number, refused: TodokuError) {
    super(refused.message, { cause: refused });
    this.status = status;
    this.refused = refused;
  }
}
