/** Preloaded into a server: on SIGUSR2 it collects its garbage and says so, so that what is left is what is needed. */
const { gc } = globalThis as { gc?: () => void };
if (!gc) throw new Error("start with --expose-gc");

process.on("SIGUSR2", () => {
  for (let i = 0; i < 5; i++) gc();
  process.stdout.write("collected\n");
});
