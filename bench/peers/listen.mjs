/** Listens on a free loopback port, and prints the URL as JSON, for bench/support/peer.ts. */
export function listen(server) {
  server.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
  });
}
