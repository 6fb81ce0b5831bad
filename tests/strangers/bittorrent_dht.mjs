// A node of bittorrent-dht that does what it is told to: each line of its input is a command, each
// answer a line of JSON, as tests/field/src/node.rs has it; and items besides.
//
//   ping ADDR                       {"pinged": ADDR}
//   put VALUE [SEED SALT SEQ]       {"target": HASH, "stored": NUMBER}
//   get TARGET [SALT]               {"value": VALUE, "seq": NUMBER}
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto"
import { createInterface } from "node:readline"
import { pathToFileURL } from "node:url"

const [modules, addr, bootstrap] = process.argv.slice(2)
const { Client } = await import(pathToFileURL(`${modules}/bittorrent-dht/index.js`))
const [host, port] = addr.split(":")
const tell = line => console.log(JSON.stringify(line))

// Node wants keys in DER: what stands before the 32 bytes of an Ed25519 key there.
const der = (head, key) => Buffer.concat([Buffer.from(head, "hex"), Buffer.from(key)])
const secret = seed => createPrivateKey(
  { key: der("302e020100300506032b657004220420", seed), format: "der", type: "pkcs8" })
const open = key => createPublicKey(
  { key: der("302a300506032b6570032100", key), format: "der", type: "spki" })

const dht = new Client({
  bootstrap: bootstrap.split(","),
  verify: (signature, message, key) => verify(null, message, open(key), signature),
})
dht.on("error", error => console.error(error.message))
dht.on("warning", () => {})

let peers = new Set()
dht.on("peer", peer => peers.add(`${peer.host}:${peer.port}`))

const put = (value, seed, salt, seq) => {
  const item = { v: Buffer.from(value) }
  if (seed) {
    const key = secret(Buffer.from(seed, "hex"))
    item.k = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32)
    item.seq = Number(seq)
    item.sign = bytes => sign(null, bytes, key)
    if (salt) item.salt = Buffer.from(salt)
  }
  dht.put(item, (error, hash, stored) => {
    tell({ target: hash?.toString("hex"), stored, error: error?.message })
  })
}

const commands = {
  peers: hash => {
    peers = new Set()
    dht.lookup(hash, () => tell({ peers: [...peers] }))
  },
  announce: (hash, port) => {
    dht.announce(hash, Number(port), error => tell({ announced: hash, error: error?.message }))
  },
  ping: addr => {
    const [host, port] = addr.split(":")
    // Of whom it knows the address alone it asks who it is.
    dht.addNode({ host, port: Number(port) })
    tell({ pinged: addr })
  },
  nodes: () => tell({ nodes: dht.toJSON().nodes.length }),
  put,
  get: (target, salt) => {
    dht.get(target, { salt: salt && Buffer.from(salt), cache: false }, (error, item) => {
      tell({ value: item?.v?.toString(), seq: item?.seq, error: error?.message })
    })
  },
}

dht.listen(Number(port), host, () => {
  tell({ ready: true })
  createInterface({ input: process.stdin })
    .on("line", line => {
      const [command, ...words] = line.split(" ")
      commands[command](...words)
    })
    .on("close", () => process.exit())
})
