// What stands before gateways: one that passes connections on, and can be cut;
// one that passes each request on to the next gateway.

import http from "node:http";
import net from "node:net";

/** Listens as long as the script has something else to do. */
async function listen(server) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();
}

/** Passes connections on to the first gateway that takes them. */
export class Balancer {
  #open = new Set();
  #isDown = false;

  static async start(urls) {
    const balancer = new Balancer();
    balancer.targets = urls.map((url) => new URL(url));
    const server = net.createServer((socket) => balancer.#pass(socket));
    await listen(server);
    balancer.url = `http://127.0.0.1:${server.address().port}`;
    return balancer;
  }

  /** Cuts all connections, and takes none. */
  down() {
    this.#isDown = true;
    for (const socket of this.#open) socket.destroy();
  }

  up() {
    this.#isDown = false;
  }

  #pass(client, place = 0) {
    const target = this.targets[place];
    if (this.#isDown || !target) return client.destroy();
    const server = net.connect(Number(target.port), target.hostname);
    let connected = false;
    for (const [socket, other] of [[client, server], [server, client]]) {
      this.#open.add(socket);
      socket.setNoDelay(true);
      socket.on("close", () => {
        this.#open.delete(socket);
        if (socket === client || connected) other.destroy();
      });
    }
    client.on("error", () => {});
    server.on("connect", () => {
      connected = true;
      client.pipe(server).pipe(client);
    });
    server.on("error", () => {
      if (!connected) this.#pass(client, place + 1);
    });
  }
}

/** Passes each request, and each upgrade, on to the next gateway: no client stays with one. */
export class RoundRobin {
  requests = 0;

  static async start(urls) {
    const balancer = new RoundRobin();
    const next = () => urls[balancer.requests++ % urls.length];
    const server = http.createServer((request, response) => {
      const { method, headers, url } = request;
      const passed = http.request(`${next()}${url}`, { method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      passed.on("error", () => response.destroy());
      response.on("close", () => passed.destroy());
      request.pipe(passed);
    });
    server.on("upgrade", (request, client, head) => {
      const target = new URL(next());
      const gateway = net.connect(Number(target.port), target.hostname, () => {
        const lines = [`${request.method} ${request.url} HTTP/1.1`];
        for (let at = 0; at < request.rawHeaders.length; at += 2) {
          lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
        }
        gateway.write(`${lines.join("\r\n")}\r\n\r\n`);
        gateway.write(head);
        client.pipe(gateway).pipe(client);
      });
      for (const [socket, other] of [[client, gateway], [gateway, client]]) {
        socket.on("error", () => other.destroy());
        socket.on("close", () => other.destroy());
      }
    });
    await listen(server);
    balancer.url = `http://127.0.0.1:${server.address().port}`;
    return balancer;
  }
}
