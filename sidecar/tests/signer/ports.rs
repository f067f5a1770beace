//! TCP ports on loopback for programs that a test starts. Each is outside the range from which the kernel picks ports, and locked
//! by a file for as long as this process lives. `e2e/ports` locks the same files.

use std::fs::{File, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

/// Below `net.ipv4.ip_local_port_range` (32768 and above), and below Kubernetes' node ports (30000 and above).
const FIRST: u16 = 12_000;
const COUNT: u16 = 16_000;

/// A lock ends when its file is closed.
static LOCKS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Ports that nobody uses, and that no other call, of any process, returns while this process lives.
pub(crate) fn reserve<const N: usize>() -> [u16; N] {
    let directory = std::env::temp_dir().join("tezos-signer-test-ports");
    std::fs::create_dir_all(&directory).unwrap();
    // For the other users of this machine; only the owner can.
    let _ = std::fs::set_permissions(&directory, Permissions::from_mode(0o777));
    let begin = u16::try_from(uuid::Uuid::new_v4().as_u128() % u128::from(COUNT)).unwrap();
    let mut ports = (0..COUNT).map(|i| FIRST + (begin + i) % COUNT).filter(|port| {
        // One that cannot be opened is another user's.
        let path = directory.join(port.to_string());
        let Ok(lock) = File::options().create(true).write(true).truncate(false).open(path) else { return false };
        let _ = lock.set_permissions(Permissions::from_mode(0o666));
        let reserved = lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", *port)).is_ok();
        if reserved {
            LOCKS.lock().unwrap().push(lock);
        }
        reserved
    });
    std::array::from_fn(|_| ports.next().expect("a free port"))
}

/// An address for a listener of a test. A port that the kernel picks could be one that a program of another test still asks at, though
/// whoever listened there has ended.
pub(crate) fn free() -> (&'static str, u16) {
    let [port] = reserve();
    ("127.0.0.1", port)
}
