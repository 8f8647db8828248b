// What the scripts share: the browser's part (login and consent), and one line per flow.
import http from "node:http";

/**
 * `walk(url, decision)` goes the way of a browser from an authorization URL to the redirect back to the client: its URL, or the
 * Request that a form_post response makes.
 */
export function browser(base, user, password) {
  const cookies = new Map();

  // not fetch(): Node's always says Sec-Fetch-Mode: cors, and the gateway's pages answer navigations only
  function open(url, form) {
    const headers = { Cookie: [...cookies].map((pair) => pair.join("=")).join("; ") };
    if (form) {
      headers.Origin = new URL(base).origin;
      headers["Content-Type"] = "application/x-www-form-urlencoded";
    }
    return new Promise((resolve, reject) => {
      const request = http.request(url, { method: form ? "POST" : "GET", headers }, async (response) => {
        for (const line of response.headers["set-cookie"] ?? []) {
          const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
          if (value) cookies.set(name, value);
          else cookies.delete(name);
        }
        let text = "";
        for await (const chunk of response.setEncoding("utf8")) text += chunk;
        resolve({ url: new URL(url), status: response.statusCode, location: response.headers.location, text });
      });
      request.on("error", reject).end(form && new URLSearchParams(form).toString());
    });
  }

  return async function walk(url, decision = "allow") {
    let page = await open(url);
    for (let step = 0; step < 8; step++) {
      if (page.location) {
        const target = new URL(page.location, page.url);
        if (target.origin !== new URL(base).origin) return target;
        page = await open(target);
      } else if (page.status === 200 && page.text.includes("<form")) {
        const form = page.text.split("<form")[1].split("</form>")[0];
        const action = new URL(unescape(form.match(/action="([^"]*)"/)[1]), page.url);
        const hidden = [...form.matchAll(/type="hidden" name="([^"]+)" value="([^"]*)"/g)];
        const fields = Object.fromEntries(hidden.map(([, name, value]) => [name, unescape(value)]));
        if (action.origin !== new URL(base).origin) return new Request(action, { method: "POST", body: new URLSearchParams(fields) });
        const login = form.includes('name="password"');
        page = await open(action, { ...fields, ...(login ? { username: user, password } : { decision }) });
      } else break;
    }
    const text = page.text.replace(/<style[^]*?<\/style>|<[^>]*>/g, " ").replace(/\s+/g, " ");
    throw new Error(`the browser's way ended at ${page.status} ${page.url}:${text.slice(0, 300)}`);
  };
}

const unescape = (text) => text.replace(/&(amp|quot|lt|gt|#34|#39);/g, (all) => ENTITIES[all]);
const ENTITIES = { "&amp;": "&", "&quot;": '"', "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'" };

/** Run one flow and say `ok NAME`, or say what went wrong and exit 1. */
export async function flow(name, run) {
  try {
    const value = await run();
    console.log(`ok ${name}`);
    return value;
  } catch (error) {
    console.error(`not ok ${name}\n`, error);
    process.exit(1);
  }
}
