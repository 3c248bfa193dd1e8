/** Imported before a server's program: every publication is written on its own. */
import { PLANTED } from "./planted.ts";

PLANTED.write.plant();
