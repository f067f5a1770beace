"""Writes pytezos.json: operations forged by pytezos 3.20.0, with what was given to it.

pip install pytezos==3.20.0 && python pytezos_forge.py > pytezos.json
"""
import json

from pytezos.crypto.encoding import base58_encode
from pytezos.michelson.forge import forge_micheline
from pytezos.operation.forge import forge_operation_group

BRANCH = "BMVmmSk4CDjBzYYjwvH6T3qtjdfo7bryR192gC5CH6TUMgWxuwn"
TZ1 = "tz1ddb9NMYHZi5UzPdzTZMYQQZoMub195zgv"
TZ2 = "tz2EoucBgYrBemSsLszAZP86cEfsz13idBaT"
TZ3 = "tz3e8QcfwZce1z5YmgZjgAdd7aNr8yBnYbv8"
KT1 = base58_encode(b"\x17" * 20, b"KT1").decode()
SR1 = base58_encode(b"\x2a" * 20, b"sr1").decode()
SRC1 = base58_encode(b"\x2b" * 32, b"src1").decode()
SPPK = "sppk7cNMvaoPostzGxnKFNkqx2QKUKs2YHjokroHEGq1S2hUvRJa89X"
P2PK = "p2pk64ie1DPcsWgEazYYWkFWNVwqs7jCdKeVwF8NVZRu5yr757vWaTM"
BLSIG = base58_encode(b"\xb6" * 96, b"BLsig").decode()
SIG = "sigbQ5ZNvkjvGssJgoAnUAfY4Wvvg3QZqawBYB1j1VDBNTMBAALnCzRHWzer34bnfmzgHg3EvwdzQKdxgSghB897cono6gbQ"
VH = base58_encode(b"\x3c" * 32, b"vh").decode()
UNIT = {"prim": "Unit"}


def manager(kind, source=TZ3, **more):
    return dict(kind=kind, source=source, fee="0", counter="127", gas_limit="128", storage_limit="16383", **more)


def transaction(destination, amount, source=TZ3, **more):
    return manager("transaction", source, amount=amount, destination=destination, **more)


def call(entrypoint, value):
    return {"parameters": {"entrypoint": entrypoint, "value": value}}


def vote(kind, payload_round):
    operation = {"kind": kind, "slot": 3, "level": 15181990, "round": payload_round, "block_payload_hash": VH}
    return {"branch": BRANCH, "operations": operation, "signature": SIG}


CASES = {
    "reveal tz2": [manager("reveal", TZ2, public_key=SPPK)],
    "reveal tz3, with a proof": [manager("reveal", public_key=P2PK, proof=BLSIG)],
    "transaction": [transaction(TZ1, "16384")],
    "transaction of 2^53 + 1": [transaction(TZ2, "9007199254740993", TZ1)],
    "stake": [transaction(TZ3, "255", **call("stake", UNIT))],
    "unstake": [transaction(TZ2, "256", TZ2, **call("unstake", UNIT))],
    "finalize_unstake": [transaction(TZ3, "0", **call("finalize_unstake", UNIT))],
    "set_delegate_parameters": [transaction(TZ3, "0", **call("set_delegate_parameters", {"int": "1"}))],
    "call of a contract": [transaction(KT1, "0", **call("mint", {"bytes": "0102"}))],
    "call of a contract with the default entrypoint": [transaction(KT1, "0", **call("default", {"int": "-1"}))],
    "origination": [manager("origination", balance="1", delegate=TZ3, script={"code": [], "storage": UNIT})],
    "delegation": [manager("delegation", delegate=TZ1)],
    "delegation to nobody": [manager("delegation", TZ2)],
    "register_global_constant": [manager("register_global_constant", value={"prim": "unit"})],
    "transfer_ticket": [
        manager(
            "transfer_ticket",
            ticket_contents=UNIT,
            ticket_ty={"prim": "unit"},
            ticket_ticketer=KT1,
            ticket_amount="1",
            destination=KT1,
            entrypoint="receive",
        )
    ],
    "smart_rollup_add_messages": [manager("smart_rollup_add_messages", message=["61", ""])],
    "smart_rollup_execute_outbox_message": [
        manager("smart_rollup_execute_outbox_message", rollup=SR1, cemented_commitment=SRC1, output_proof="ff00")
    ],
    "activate_account": [{"kind": "activate_account", "pkh": TZ1, "secret": "41f98b15efc63fa893d61d7d6eee4a2ce9427ac4"}],
    "failing_noop": [{"kind": "failing_noop", "arbitrary": "a message"}],
    "double_consensus_operation_evidence": [
        {
            "kind": "double_consensus_operation_evidence",
            "slot": 258,
            "op1": vote("attestation", 0),
            "op2": vote("preattestation", 1),
        }
    ],
    "a batch": [manager("reveal", public_key=P2PK), transaction(TZ1, "1"), manager("delegation", delegate=TZ3)],
}


def expected(content):
    """As `tezos-signer explain` writes it: flat, Michelson as hexadecimal, what is not there left out."""
    flat = dict(content)
    for field in ("value", "ticket_contents", "ticket_ty"):
        if field in flat:
            flat[field] = forge_micheline(flat[field]).hex()
    if content["kind"] == "transaction":
        parameters = flat.pop("parameters", None)
        flat["entrypoint"] = parameters["entrypoint"] if parameters else "default"
        if parameters:
            flat["value"] = forge_micheline(parameters["value"]).hex()
            pseudo = {"stake", "unstake", "finalize_unstake", "set_delegate_parameters"}
            if content["source"] == content["destination"] and flat["entrypoint"] in pseudo:
                flat["kind"] = flat["entrypoint"]
    if content["kind"] == "delegation":
        flat.setdefault("delegate", None)
    if "script" in flat:
        script = flat.pop("script")
        flat |= {part: forge_micheline(script[part]).hex() for part in ("code", "storage")}
    if content["kind"] == "failing_noop":
        flat["arbitrary"] = content["arbitrary"].encode().hex()
    for op in ("op1", "op2"):
        if op in flat:
            from pytezos.operation.forge import forge_inlined_consensus_operation

            flat[op] = forge_inlined_consensus_operation(content[op]).hex()
    return flat


vectors = [
    {
        "name": name,
        "payload": "03" + forge_operation_group({"branch": BRANCH, "contents": contents}).hex(),
        "contents": [expected(content) for content in contents],
    }
    for name, contents in CASES.items()
]
print(json.dumps({"encoder": "pytezos 3.20.0 (pytezos_forge.py)", "branch": BRANCH, "vectors": vectors}, indent=1))
