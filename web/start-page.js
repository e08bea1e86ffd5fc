// Starts the page's program; a file of its own, because the page's security policy allows no script in it.
import start from "./page.js";
start().catch((error) => {
  document.getElementById("loading").textContent =
    `This page could not be loaded (${error}). It needs a browser with WebAssembly SIMD; reload it, or use a newer one.`;
});
