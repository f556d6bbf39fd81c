// Preloaded into the suite's origin, which would listen on all interfaces: binds every server to loopback.

import { Server } from "node:net";

const { listen } = Server.prototype;

Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port, "127.0.0.1", ...rest);
};
