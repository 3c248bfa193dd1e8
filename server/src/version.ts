/** The version of all packages; a test holds it against their package.json. */
export const VERSION = "0.1.0";
