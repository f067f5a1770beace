//! What the signer promises, tried on real parts: the program as a process, a SoftHSM2 token of each test's own, real files,
//! and a real API server where `E2E_KUBECONFIG` names one. Needs the Debian packages softhsm2, opensc, strace,
//! p11-kit, p11-kit-modules and iproute2; and root, for network namespaces.
//!
//! One test program, so that it is linked once. Of a file that is not a test, the first comment says what it stands for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// What tests stand on.
mod api_server;
mod certificates;
mod control_plane;
mod doc_runner;
mod fault_proxy;
mod faulty_module;
mod faulty_store;
mod kms_env;
mod kms_stand_in;
mod namespace;
#[path = "../../../core/tests/ecdsa/negate_s.rs"]
mod negate_s;
mod old_signer;
mod own_process;
mod payload;
mod ports;
mod process;
mod raw_http;
mod record_store;
mod remote_token;
mod replicas;
mod request_ids;
mod scripted_api;
mod sealed_env;
mod sealed_input;
mod small_disk;
mod test_env;

// From outside: the program.
mod audit;
mod audit_verify;
mod authentication;
mod clients;
mod command_line;
mod crash;
mod evidence;
mod explain;
mod exposure;
mod failover;
mod fencing;
mod foreign_files;
mod forwarding;
mod full_disk;
mod handover;
mod hostile;
mod hsm_commands;
mod hsm_faults;
mod hsm_hangs;
mod hsm_key_list;
mod hsm_library;
mod hsm_login;
mod hsm_many_keys;
mod hsm_matrix;
mod hsm_network;
mod hsm_one_key;
mod hsm_tokens;
mod hsm_tz1;
mod intent;
mod kept_sockets;
mod kept_unix_socket;
mod kms;
mod kms_commands;
mod kms_credentials;
mod kms_documents;
mod kms_local;
mod kms_matrix;
mod kms_sealed;
mod kms_speed;
mod late;
mod memory_keystore;
mod metrics;
mod migrate;
mod moved_records;
mod moving;
mod node;
mod policy;
mod power_loss;
mod protocol;
mod record_files;
mod reload;
mod restore;
mod rules;
mod sealed;
mod sealed_checks;
mod sealed_memory;
mod sealed_speed;
mod soak;
mod systemd;
mod text_files;
mod tls;
mod unanswered_commands;
mod unix_socket;
mod verify_cloudhsm;
mod watermark;

// From inside: the library, with faults where no outsider can put them.
mod api_calls;
mod forward_rules;
mod lease;
mod lease_clock;
mod operations;
mod signing_path;
mod silence;
mod store_contract;
mod waiting;
