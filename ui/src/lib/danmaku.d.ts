/** The canvas-only build of `danmaku`, which ships without types of its own path. */
declare module "danmaku/dist/esm/danmaku.canvas.js" {
  import Danmaku from "danmaku";
  export default Danmaku;
}
