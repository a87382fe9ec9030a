// The proxies: each in its plainest configuration, and in the one of `deploy/`.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atEnd, until } from "../browser/support.mjs";

const DEPLOY = fileURLToPath(new URL("../../deploy", import.meta.url));

// `nobody`: the proxies have no rights, also where the tests have them.
const NOBODY = 65534;

const PORTS = { first: 20_000, count: 10_000 };

// Debian keeps daemons where only root looks.
const PATH = `${process.env.PATH}:/usr/sbin`;

// What each proxy is given. `port` is where it listens, `callout` where callout does.
//
// - `plain` is what one writes without reading on, for callout at the root and below a path.
// - `file` is in `deploy/`, and `impatient` cuts it off after two seconds of silence.
// - `compressed` compresses all that it may, if what is in `deploy/` does not compress already.
// - `also` are the files that it refers to.
// - `whole` makes a complete configuration of these, for a folder of its own, and `args` runs it.
const PROXIES = {
  nginx: {
    program: "nginx",
    plain: (port, callout) => `
      server {
        listen ${port};
        location / { proxy_pass http://${callout}; }
        location /push/ { proxy_pass http://${callout}/; }
      }`,
    file: "nginx.conf",
    listening: (text, port) => text.replaceAll("listen 80;", `listen ${port};`),
    impatient: (text) => `proxy_read_timeout 2s; proxy_send_timeout 2s; send_timeout 2s;\n${text}`,
    compressed: (text) => `gzip on; gzip_min_length 1; gzip_proxied any; gzip_types *;\n${text}`,
    whole: (text, folder) => `
      daemon off;
      pid ${folder}/nginx.pid;
      events {}
      http {
        access_log off;
        ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}
        ${text}
      }`,
    args: (file, folder) => ["-e", "stderr", "-p", folder, "-c", file],
  },
  Caddy: {
    program: "caddy",
    plain: (port, callout) => `
:${port} {
	handle_path /push/* {
		reverse_proxy ${callout}
	}
	reverse_proxy ${callout}
}
`,
    file: "Caddyfile",
    listening: (text, port) => text.replace(/^(\w+\.example\.org) \{/gm, `http://$1:${port} {`),
    impatient: (text) => text,
    compressed: (text) => (/^\timport compress$/m.test(text) ? text : text.replace(/^:\d+ \{$/m, "$&\n\tencode gzip")),
    whole: (text) => `{\n\tadmin off\n\tauto_https off\n}\n${text}`,
    args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
  },
  haproxy: {
    program: "haproxy",
    plain: (port, callout) => `
defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s

frontend web
    bind :${port}
    http-request replace-path /push(/.*) \\1
    default_backend callout

backend callout
    server callout ${callout}
`,
    file: "haproxy.cfg",
    listening: (text, port) => text.replace("bind :80", `bind :${port}`),
    impatient: (text) => text.replaceAll(" 1m", " 2s"),
    compressed: (text) => text.replace("mode http", "mode http\n    compression algo gzip"),
    also: ["haproxy-away.http"],
    whole: (text, folder) => text.replaceAll("/etc/haproxy", folder),
    args: (file) => ["-db", "-f", file],
  },
  Apache: {
    program: "apache2",
    plain: (port, callout) => `
      <VirtualHost *:${port}>
        ProxyPass /push/ http://${callout}/
        ProxyPass / http://${callout}/
      </VirtualHost>`,
    file: "apache.conf",
    listening: (text, port) => text.replaceAll("*:80>", `*:${port}>`),
    impatient: (text) => `Timeout 2\nProxyTimeout 2\n${text}`,
    compressed: (text) => `SetOutputFilter DEFLATE\n${text}`,
    whole: (text, folder, port) => `
      ServerRoot ${folder}
      DefaultRuntimeDir ${folder}
      PidFile ${folder}/pid
      Mutex file:${folder}
      ErrorLog ${folder}/error.log
      ServerName localhost
      Listen ${port}
      ${["mpm_event", "authz_core", "proxy", "proxy_http", "filter", "deflate"].map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}
      ${text}`,
    args: (file, folder) => ["-d", folder, "-f", file, "-DFOREGROUND"],
  },
};

// The file of a proxy in `deploy/`.
export const shipped = (name) => readFileSync(join(DEPLOY, PROXIES[name].file), "utf8");

export const NAMES = Object.keys(PROXIES);

// Whether the program of a proxy is installed.
export const isThere = (name) => spawnSync("sh", ["-c", `command -v ${PROXIES[name].program}`], { env: { PATH } }).status === 0;

// Starts a proxy as `deploy/` has it. It ends with the test. Gives its port.
export function recommended(test, name, callout, { isCompressed = false, isImpatient = false } = {}) {
  const proxy = PROXIES[name];
  return start(test, proxy, (port) => {
    let text = proxy.listening(shipped(name), port).replaceAll("127.0.0.1:8080", new URL(callout.url).host);
    if (isImpatient) text = proxy.impatient(text);
    return isCompressed ? proxy.compressed(text) : text;
  });
}

// The same for the plainest configuration.
export function plainest(test, name, callout, { isCompressed = false } = {}) {
  const proxy = PROXIES[name];
  return start(test, proxy, (port) => {
    const text = proxy.plain(port, new URL(callout.url).host);
    return isCompressed ? proxy.compressed(text) : text;
  });
}

async function start(test, proxy, configure) {
  const folder = mkdtempSync(join(tmpdir(), "callout-proxy-"));
  const port = await freePort();
  const file = join(folder, proxy.file);
  for (const name of proxy.also ?? []) copyFileSync(join(DEPLOY, name), join(folder, name));
  writeFileSync(file, proxy.whole(configure(port), folder, port));
  const rights = process.getuid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if (rights.uid) chownSync(folder, NOBODY, NOBODY);
  chmodSync(folder, 0o755);
  const env = { ...process.env, PATH, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const child = spawn(proxy.program, proxy.args(file, folder), { env, cwd: folder, stdio: ["ignore", "ignore", "pipe"], ...rights });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
  const ended = once(child, "exit");
  atEnd(test, async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true });
  });
  await until("the proxy listens", async () => {
    if (child.exitCode !== null) throw new Error(`${proxy.program} ended: ${said}`);
    return isListening(port);
  });
  return port;
}

// A port that nobody has. It is below those that the system gives away, so that nobody is given it meanwhile.
async function freePort() {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * PORTS.count);
    const server = createServer();
    const isFree = await new Promise((done) => server.once("error", () => done(false)).listen(port, () => done(true)));
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

function isListening(port) {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => done(true)).once("error", () => done(false));
    socket.once("connect", () => socket.destroy());
  });
}
