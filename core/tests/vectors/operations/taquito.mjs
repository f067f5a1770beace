// Writes taquito.json: operations forged by @taquito/local-forging 24.2.0, with what was given to it.
//   npm install @taquito/local-forging@24.2.0 @taquito/utils@24.2.0 && node taquito.mjs > taquito.json
import { createRequire } from 'node:module';
const require = createRequire(process.cwd() + '/');
const { LocalForger, ProtocolsHash, CODEC, encoders, getCodec } = require('@taquito/local-forging');
const { b58Encode, PrefixV2 } = require('@taquito/utils');

const forger = new LocalForger(ProtocolsHash.PtTALLiNt);
const branch = 'BKpbfCvh777DQHnXjU2sqHvVUNZ7dBAdqEfKkdw8EGSkD9LSYXb';
const tz1 = 'tz1SodoUsWVe1Yey9eMFbqRUtNpBWfir5NRr';
const tz2 = 'tz2SSuN7FRcAurZPSAQS1swNWE8xxf71MTjt';
const tz3 = 'tz3ZxowXGSjiVq227GQcwKdz87rKhq62rY4t';
const tz4 = b58Encode('a1'.repeat(20), PrefixV2.BLS12_381PublicKeyHash);
const KT1 = b58Encode('c7'.repeat(20), PrefixV2.ContractHash);
const sr1 = b58Encode('51'.repeat(20), PrefixV2.SmartRollupHash);
const src1 = b58Encode('5c'.repeat(32), PrefixV2.SmartRollupCommitmentHash);
const sh = b58Encode('d1'.repeat(48), PrefixV2.SlotHeader);
const BLsig = b58Encode('b5'.repeat(96), PrefixV2.BLS12_381Signature);
const edpk = 'edpkufnz668CdgnVC4X5KRvJoXCMgicr29Tjmr5vxGzvMdipwkTZmM';
const sppk = 'sppk7aFpmJLm3ZxMd3F4osvGBq77R1NeSpiJVnof3Wiv4mt84EBE9aX';
const p2pk = 'p2pk66Y3178eHvgWFA4CDsgGPhbkWtwrYCVUKJnsAi41eGP7MbHKv24';
const BLpk = 'BLpk1vvYoUeVyjsZhdhtzuEEsUAbigzgvZ3Ms3v4MZoeinnJKRa3MKksHZgH7nYXFxSREebWo619';
const P1 = 'PtTALLiNtPec7mE7yY4m3k26J8Qukef3E3ehzhfXgFZKGtDdAXu';
const P2 = 'PsUshuai9QapM5TGj1JpuVGkdxz5GykdnEvS6Rh8SUVrARvZLCY';
const manager = (source, more) => ({ source, fee: '1283', counter: '98765432', gas_limit: '1040000', storage_limit: '60000', ...more });
const transaction = (source, destination, amount, parameters) =>
  manager(source, { kind: 'transaction', amount, destination, ...(parameters && { parameters }) });
const call = (entrypoint, value) => ({ entrypoint, value });
const unit = { prim: 'Unit' };
const pair = { prim: 'Pair', args: [{ int: '0' }, { string: 'a text' }] };
const script = { code: [{ prim: 'parameter', args: [{ prim: 'unit' }] }, { prim: 'storage', args: [{ prim: 'unit' }] }, { prim: 'code', args: [[{ prim: 'CDR' }, { prim: 'NIL', args: [{ prim: 'operation' }] }, { prim: 'PAIR' }]] }], storage: unit };

const cases = {
  'reveal tz1': [manager(tz1, { kind: 'reveal', public_key: edpk })],
  'reveal tz2': [manager(tz2, { kind: 'reveal', public_key: sppk })],
  'reveal tz3': [manager(tz3, { kind: 'reveal', public_key: p2pk })],
  'reveal tz4 with proof': [manager(tz4, { kind: 'reveal', public_key: BLpk, proof: BLsig })],
  'transaction to tz1': [transaction(tz3, tz1, '1')],
  'transaction of nothing to tz4': [transaction(tz3, tz4, '0')],
  'transaction of the most': [transaction(tz2, tz3, '9223372036854775807')],
  'call of KT1 with the default entrypoint': [transaction(tz3, KT1, '64', call('default', pair))],
  'call of KT1 with root': [transaction(tz3, KT1, '63', call('root', pair))],
  'call of KT1 with do': [transaction(tz3, KT1, '128', call('do', []))],
  'call of KT1 with set_delegate': [transaction(tz3, KT1, '0', call('set_delegate', { string: tz1 }))],
  'call of KT1 with remove_delegate': [transaction(tz3, KT1, '0', call('remove_delegate', unit))],
  'call of KT1 with deposit': [transaction(tz3, KT1, '127', call('deposit', unit))],
  'call of KT1 with a name': [transaction(tz3, KT1, '16384', call('transfer', pair))],
  'call of KT1 with the longest name': [transaction(tz3, KT1, '0', call('a'.repeat(31), unit))],
  'stake': [transaction(tz3, tz3, '6000000000', call('stake', unit))],
  'unstake': [transaction(tz2, tz2, '6000000000', call('unstake', unit))],
  'finalize_unstake': [transaction(tz1, tz1, '0', call('finalize_unstake', unit))],
  'set_delegate_parameters': [transaction(tz3, tz3, '0', call('set_delegate_parameters', { prim: 'Pair', args: [{ int: '9000000' }, { int: '50000000' }, unit] }))],
  'stake of another, a plain transaction': [transaction(tz3, tz2, '1', call('stake', unit))],
  'stake at a contract, a plain transaction': [transaction(tz3, KT1, '1', call('stake', unit))],
  'transfer to itself, a plain transaction': [transaction(tz3, tz3, '1')],
  'origination': [manager(tz3, { kind: 'origination', balance: '500000', script })],
  'origination with a delegate': [manager(tz3, { kind: 'origination', balance: '0', delegate: tz3, script })],
  'delegation to itself': [manager(tz3, { kind: 'delegation', delegate: tz3 })],
  'delegation to nobody': [manager(tz3, { kind: 'delegation' })],
  'register_global_constant': [manager(tz3, { kind: 'register_global_constant', value: pair })],
  'set_deposits_limit': [manager(tz3, { kind: 'set_deposits_limit', limit: '10000000000' })],
  'set_deposits_limit to none': [manager(tz3, { kind: 'set_deposits_limit' })],
  // Below 64: Taquito writes the amount as an N, Octez reads a Z, and only below 64 are they the same bytes.
  'increase_paid_storage': [manager(tz3, { kind: 'increase_paid_storage', amount: '63', destination: KT1 })],
  'update_consensus_key tz2': [manager(tz3, { kind: 'update_consensus_key', pk: sppk })],
  'update_consensus_key tz4': [manager(tz3, { kind: 'update_consensus_key', pk: BLpk, proof: BLsig })],
  'update_companion_key': [manager(tz3, { kind: 'update_companion_key', pk: BLpk, proof: BLsig })],
  'transfer_ticket': [manager(tz3, { kind: 'transfer_ticket', ticket_contents: pair, ticket_ty: { prim: 'string' }, ticket_ticketer: KT1, ticket_amount: '77', destination: tz1, entrypoint: 'default' })],
  'smart_rollup_originate': [manager(tz3, { kind: 'smart_rollup_originate', pvm_kind: 'wasm_2_0_0', kernel: '0061736d01000000', parameters_ty: { prim: 'bytes' } })],
  'smart_rollup_originate with a whitelist': [manager(tz3, { kind: 'smart_rollup_originate', pvm_kind: 'riscv', kernel: '', parameters_ty: { prim: 'bytes' }, whitelist: [tz1, tz4] })],
  'smart_rollup_add_messages': [manager(tz3, { kind: 'smart_rollup_add_messages', message: ['', '00', '0102030405'] })],
  'smart_rollup_execute_outbox_message': [manager(tz3, { kind: 'smart_rollup_execute_outbox_message', rollup: sr1, cemented_commitment: src1, output_proof: '0304' })],
  'dal_publish_commitment': [manager(tz3, { kind: 'dal_publish_commitment', slot_header: { slot_index: 31, commitment: sh, commitment_proof: '9e'.repeat(96) } })],
  'ballot yay': [{ kind: 'ballot', source: tz3, period: 150, proposal: P1, ballot: 'yay' }],
  'ballot nay': [{ kind: 'ballot', source: tz2, period: 150, proposal: P2, ballot: 'nay' }],
  'ballot pass': [{ kind: 'ballot', source: tz1, period: 0, proposal: P2, ballot: 'pass' }],
  'proposals of one': [{ kind: 'proposals', source: tz3, period: 151, proposals: [P1] }],
  'proposals of twenty': [{ kind: 'proposals', source: tz3, period: 151, proposals: Array(10).fill([P1, P2]).flat() }],
  'drain_delegate': [{ kind: 'drain_delegate', consensus_key: tz3, delegate: tz2, destination: tz1 }],
  'seed_nonce_revelation': [{ kind: 'seed_nonce_revelation', level: 15181990, nonce: 'ab'.repeat(32) }],
  'activate_account': [{ kind: 'activate_account', pkh: tz1, secret: '0f'.repeat(20) }],
  'failing_noop': [{ kind: 'failing_noop', arbitrary: '68656c6c6f' }],
  'failing_noop of nothing': [{ kind: 'failing_noop', arbitrary: '' }],
  'a batch of a reveal and two transactions': [
    manager(tz3, { kind: 'reveal', public_key: p2pk }), transaction(tz3, tz1, '1'), transaction(tz3, KT1, '2', call('transfer', pair))],
  'a batch of staking': [
    transaction(tz3, tz3, '0', call('finalize_unstake', unit)), transaction(tz3, tz3, '5', call('stake', unit)), manager(tz3, { kind: 'delegation' })],
};

// As `tezos-signer explain` writes it: flat, Michelson as hexadecimal, what is not there left out.
const micheline = (value) => encoders[CODEC.VALUE](value).slice(8);
function expected(content) {
  const { parameters, script, slot_header, ...flat } = content;
  for (const field of ['value', 'ticket_contents', 'ticket_ty', 'parameters_ty']) {
    if (flat[field]) flat[field] = micheline(flat[field]);
  }
  if (content.kind === 'transaction') {
    flat.entrypoint = parameters?.entrypoint ?? 'default';
    if (parameters) flat.value = micheline(parameters.value);
    if (content.source === content.destination && /stake$|^set_delegate_parameters$/.test(flat.entrypoint)) flat.kind = flat.entrypoint;
  }
  if (content.kind === 'delegation') flat.delegate ??= null;
  if (content.kind === 'set_deposits_limit') flat.limit ??= null;
  if (script) Object.assign(flat, { code: micheline(script.code), storage: micheline(script.storage) });
  return { ...flat, ...slot_header };
}

const vectors = [];
for (const [name, contents] of Object.entries(cases)) {
  vectors.push({ name, payload: '03' + await forger.forge({ branch, contents }), contents: contents.map(expected) });
}
console.log(JSON.stringify({ encoder: '@taquito/local-forging 24.2.0 (taquito.mjs)', branch, vectors }, null, 1));
