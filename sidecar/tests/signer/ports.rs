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
    let mut listeners = listeners();
    std::array::from_fn(|_| listeners.next().expect("a free port").local_addr().unwrap().port())
}

/// A listener of a test, on a port of its own. A port that the kernel picks could be one that a program of another test still asks at, though
/// whoever listened there has ended. And one that was free a moment ago may be held by a process that another test is about to start: it has
/// all open files until it begins.
pub(crate) fn listener() -> TcpListener {
    listeners().next().expect("a free port")
}

/// The same for asynchronous code.
pub(crate) async fn async_listener() -> tokio::net::TcpListener {
    let listener = tokio::task::spawn_blocking(listener).await.unwrap();
    listener.set_nonblocking(true).unwrap();
    tokio::net::TcpListener::from_std(listener).unwrap()
}

fn listeners() -> impl Iterator<Item = TcpListener> {
    let directory = std::env::temp_dir().join("tezos-signer-test-ports");
    std::fs::create_dir_all(&directory).unwrap();
    // For the other users of this machine; only the owner can.
    let _ = std::fs::set_permissions(&directory, Permissions::from_mode(0o777));
    let begin = u16::try_from(uuid::Uuid::new_v4().as_u128() % u128::from(COUNT)).unwrap();
    (0..COUNT).map(move |i| FIRST + (begin + i) % COUNT).filter_map(move |port| {
        // One that cannot be opened is another user's.
        let path = directory.join(port.to_string());
        let lock = File::options().create(true).write(true).truncate(false).open(path).ok()?;
        let _ = lock.set_permissions(Permissions::from_mode(0o666));
        lock.try_lock().ok()?;
        let listener = TcpListener::bind(("127.0.0.1", port)).ok()?;
        LOCKS.lock().unwrap().push(lock);
        Some(listener)
    })
}
