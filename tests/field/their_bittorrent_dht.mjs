// bittorrent-dht as a server or as a searcher: the same words and lines as the Rust programs.
// Usage: NODE_MODULES serve ADDR BOOTSTRAP,… | NODE_MODULES search ADDR BOOTSTRAP,… TARGET PEERS
import { createHash } from "node:crypto"
import { pathToFileURL } from "node:url"

const [modules, what, addr, bootstrap, target, peers] = process.argv.slice(2)
const { Client } = await import(pathToFileURL(`${modules}/bittorrent-dht/index.js`))
const [host, port] = addr.split(":")
const tell = line => console.log(JSON.stringify(line))
process.stdin.on("end", () => process.exit())

if (what === "search") {
  tell({ ready: true })
  await new Promise(resolve => process.stdin.once("data", resolve))
}
process.stdin.resume()

const begun = performance.now()
const dht = new Client({ bootstrap: bootstrap.split(",") })
dht.on("error", error => console.error(error.message))
dht.on("warning", () => {})

if (what === "serve") {
  dht.listen(Number(port), host, () => {
    let left = 16
    const next = () => left-- && dht.lookup(createHash("sha1").update(`${left}`).digest(), next)
    dht.on("ready", next)
  })
  let told
  setInterval(() => {
    const nodes = dht.toJSON().nodes.length
    if (nodes !== told) tell({ nodes })
    told = nodes
  }, 500)
} else {
  const known = new Set()
  let first = null
  let most = null
  dht.on("peer", peer => {
    const now = performance.now() - begun
    known.add(`${peer.host}:${peer.port}`)
    first ??= now
    if (known.size * 10 >= Number(peers) * 9) most ??= now
  })
  dht.listen(Number(port), host, () => {
    dht.lookup(target, () => {
      tell({ first, most, done: performance.now() - begun, peers: known.size })
    })
  })
}
