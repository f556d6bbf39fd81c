// Raw HTTP over sockets: requests that no HTTP client would send, or that are sent slowly or cut off.

import { connect } from "node:net";

import { PATH } from "./world.mjs";

/** Opens a connection, and sends this text. */
export function send(url, text) {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.write(text);
  return socket;
}

/** Opens a connection, and sends a request's head with this length field and the start of its body. */
export const begin = (url, length, sent) =>
  send(url, `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n\r\n${sent}`);

/** Opens a connection, and sends a request with only the first `bytes` of its body. */
export const beginOf = (url, body, bytes) => begin(url, `Content-Length: ${body.length}`, body.slice(0, bytes));

/** The first data that comes back; the connection is then closed. */
export const answered = (socket) =>
  new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("data", (data) => {
      resolve(String(data));
      socket.destroy();
    });
  });

/** All that comes back, until the connection ends or is silent for a second. */
export const everything = (socket) =>
  new Promise((resolve) => {
    const chunks = [];
    socket.on("data", (data) => chunks.push(data));
    socket.on("close", () => resolve(Buffer.concat(chunks).toString()));
    socket.on("error", () => resolve(""));
    socket.setTimeout(1_000, () => socket.destroy());
  });
