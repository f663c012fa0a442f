/**
 * Lets a film go before its element does: WebKit's player goes on decoding for an element that is gone, and has been
 * seen to hang the page when the film's address was revoked under it.
 */
export function film(node: HTMLVideoElement): () => void {
  return () => {
    node.pause();
    node.removeAttribute("src");
    node.load();
  };
}
