// Taquito's remote signer against ours: `node taquito.mjs URL KEY_HASH [AUTHENTICATION_SECRET]`. Prints what it was given, as JSON; Taquito has
// verified each signature itself. Where a secret is named, the signer must want an authentication by it.
//
// Taquito cannot authenticate as Octez clients do, by a signature of each request: it has fixed headers only. It takes an HTTP backend, though,
// and that is where a user adds it.
import assert from "node:assert/strict";
import { HttpBackend } from "@taquito/http-utils";
import { LocalForger } from "@taquito/local-forging";
import { RemoteSigner } from "@taquito/remote-signer";
import { InMemorySigner } from "@taquito/signer";
import { b58decode } from "@taquito/utils";

const [url, keyHash, secret] = process.argv.slice(2);

class Authenticated extends HttpBackend {
  async createRequest(options, data) {
    if (options.method !== "POST") return super.createRequest(options, data);
    // b58decode gives the bytes of an address: an implicit one is 00, the scheme of its key, the hash.
    const { prefixSig } = await new InMemorySigner(secret).sign(`0401${b58decode(keyHash).slice(2)}${data}`);
    return super.createRequest({ ...options, query: { ...options.query, authentication: prefixSig } }, data);
  }
}

const operation = (contents) =>
  new LocalForger().forge({ branch: "BLzyjjHKEKMULtvkpSHxuZxx6ei6fpntH2BTkYZiLgs8zLVstvX", contents: [contents] });
const manager = { source: keyHash, fee: "400", counter: "7", gas_limit: "1000", storage_limit: "0" };
const transaction = await operation({
  kind: "transaction", ...manager, amount: "1", destination: "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr",
});
const delegation = await operation({ kind: "delegation", ...manager, delegate: "tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr" });
const generic = new Uint8Array([3]);

const plain = new RemoteSigner(keyHash, url);
const signer = secret ? new RemoteSigner(keyHash, url, {}, new Authenticated()) : plain;
assert.equal(await signer.publicKeyHash(), keyHash);
const publicKey = await signer.publicKey();
if (secret) await assert.rejects(plain.sign(transaction, generic), { status: 401 });

const { prefixSig } = await signer.sign(transaction, generic);
await assert.rejects(signer.sign(delegation, generic), { name: "OperationNotAuthorized" });
await assert.rejects(signer.sign("00", new Uint8Array([0x11])), { name: "BadSigningData" });
const nobody = "tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t";
await assert.rejects(new RemoteSigner(nobody, url).publicKey(), { name: "PublicKeyNotFoundError" });

console.log(JSON.stringify({ publicKey, payload: `03${transaction}`, signature: prefixSig }));
