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
mod faulty_module;
mod faulty_store;
mod guide;
mod home;
mod namespace;
mod old_signer;
mod own_process;
mod payload;
mod process;
mod record_store;
mod relay;
mod remote_token;
mod replicas;
mod small_disk;
mod wire;

// From outside: the program.
mod audit;
mod authentication;
mod clients;
mod command_line;
mod crash;
mod explain;
mod exposure;
mod fencing;
mod foreign_files;
mod forwarding;
mod full_disk;
mod handover;
mod hostile;
mod hsm_commands;
mod hsm_faults;
mod hsm_hangs;
mod hsm_matrix;
mod hsm_network;
mod hsm_one_key;
mod metrics;
mod moving;
mod node;
mod policy;
mod power_loss;
mod protocol;
mod reload;
mod restore;
mod service_manager;
mod soak;
mod tls;
mod unix_socket;
mod verify_cloudhsm;
mod watermark;

// From inside: the library, with faults where no outsider can put them.
mod lease;
mod signing_path;
mod store_contract;
