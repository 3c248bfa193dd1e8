/** Pictures for who has none at hand: drawn here, and one that is no picture at all. */

const [WIDTH, HEIGHT] = [1800, 1200];

/** `count` of them, and a broken one in their middle. */
export async function samples(count: number): Promise<File[]> {
  const drawn: File[] = [];
  for (let i = 0; i < count; i++) drawn.push(await draw(i, count));
  const broken = new File(["This is no picture, whatever its name says."], "broken.jpg", { type: "image/jpeg" });
  return drawn.toSpliced(Math.floor(count / 2), 0, broken);
}

/** Hills under a sun, each at another time of the day. */
async function draw(i: number, count: number): Promise<File> {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw");
  const hue = (i * 360) / count;
  const sky = context.createLinearGradient(0, 0, 0, HEIGHT);
  sky.addColorStop(0, `hsl(${hue} 60% 40%)`);
  sky.addColorStop(1, `hsl(${hue + 50} 80% 80%)`);
  context.fillStyle = sky;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.fillStyle = `hsl(${hue + 50} 95% 88%)`;
  context.beginPath();
  const across = 0.35 + (0.3 * i) / count;
  context.arc(WIDTH * across, HEIGHT * (0.6 - 0.35 * Math.sin((Math.PI * (i + 0.5)) / count)), 130, 0, 2 * Math.PI);
  context.fill();
  for (let hill = 0; hill < 3; hill++) {
    context.fillStyle = `hsl(${hue + 20 * hill} 45% ${38 - 10 * hill}%)`;
    context.beginPath();
    context.moveTo(0, HEIGHT);
    for (let x = 0; x <= WIDTH; x += 20) {
      const wave = Math.sin(x / (260 - 40 * hill) + i * 1.7 + hill * 2);
      context.lineTo(x, HEIGHT * (0.66 + 0.1 * hill) - 90 * wave);
    }
    context.lineTo(WIDTH, HEIGHT);
    context.fill();
  }
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  if (!blob) throw new Error("this browser cannot encode JPEG");
  return new File([blob], `hills-${i + 1}.jpg`, { type: "image/jpeg" });
}
