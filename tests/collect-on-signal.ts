/** Preloaded into a server: on SIGUSR2 it collects its garbage and says so, so that what is left is what is needed. */
const { gc } = globalThis as { gc?: (how?: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void };
if (!gc) throw new Error("start with --expose-gc");

process.on("SIGUSR2", () => {
  for (let i = 0; i < 4; i++) gc();
  // With it V8 gives the pages back that it would keep for later.
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
  process.stdout.write("collected\n");
});
