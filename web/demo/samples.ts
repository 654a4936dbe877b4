// Notes to try the research assistant with.
import kelp from "./samples/kelp.md?raw";
import lighthouse from "./samples/lighthouse.md?raw";
import tides from "./samples/tides.md?raw";

export const samples: Readonly<Record<string, string>> = { "kelp.md": kelp, "lighthouse.md": lighthouse, "tides.md": tides };
