//! What stands between a PKCS#11 library and its HSM: passes bytes on from a unix socket to an address, until a test wants
//! that it holds, delays, truncates or breaks them off.

use rustix::net::{RecvFlags, Shutdown, connect_unspec, recv, shutdown};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than any network that is up takes to connect.
const CONNECT: Duration = Duration::from_secs(1);

/// A larger chunk than a message has.
const CHUNK: usize = 64 * 1024;

/// Gone, with its connections, when dropped.
pub(crate) struct FaultProxy {
    path: PathBuf,
    listener: Arc<UnixListener>,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// All bytes wait.
    held: bool,
    /// Those of the connections that there were then wait for ever.
    frozen: Vec<Arc<Connection>>,
    /// Each message waits so long.
    delay: Duration,
    /// Only half of the next answer is passed on.
    truncates: bool,
    connections: Vec<Arc<Connection>>,
    ended: bool,
}

struct Connection {
    library: UnixStream,
    server: TcpStream,
}

impl Connection {
    fn close(&self) {
        let _ = self.library.shutdown(std::net::Shutdown::Both);
        let _ = self.server.shutdown(std::net::Shutdown::Both);
    }
}

impl FaultProxy {
    /// From the unix socket `path` to `server`.
    pub(crate) fn new(path: &Path, server: SocketAddr) -> Self {
        let listener = Arc::new(UnixListener::bind(path).unwrap());
        let shared = Arc::new(Shared::default());
        let accepting = std::thread::spawn({
            let (listener, shared) = (listener.clone(), shared.clone());
            move || {
                while let Ok((library, _)) = listener.accept() {
                    let shared = shared.clone();
                    std::thread::spawn(move || shared.serve(library, server));
                }
            }
        });
        Self { path: path.to_owned(), listener, shared, accepting: Some(accepting) }
    }

    /// Stalls: whatever comes waits until [`FaultProxy::release`], and connections stay.
    pub(crate) fn hold(&self) {
        self.shared.state().held = true;
    }

    pub(crate) fn release(&self) {
        self.shared.state().held = false;
        self.shared.changed.notify_all();
    }

    /// What the present connections carry waits until [`FaultProxy::thaw`], or for ever; new ones are well.
    pub(crate) fn freeze(&self) {
        let state = &mut *self.shared.state();
        state.frozen.clone_from(&state.connections);
    }

    pub(crate) fn thaw(&self) {
        self.shared.state().frozen.clear();
        self.shared.changed.notify_all();
    }

    /// Each message takes so much longer, in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    /// The next answer breaks off in the middle, and its connection with it.
    pub(crate) fn truncate(&self) {
        self.shared.state().truncates = true;
    }

    /// Whether that is still to come.
    pub(crate) fn truncates(&self) -> bool {
        self.shared.state().truncates
    }

    /// All answers are passed on whole again.
    pub(crate) fn truncate_no_more(&self) {
        self.shared.state().truncates = false;
    }

    /// Ends the present connections in good order; new ones are well.
    pub(crate) fn cut(&self) {
        self.shared.state().connections.iter().for_each(|connection| connection.close());
    }

    /// Aborts the present connections: the server gets a RST, the library what a broken connection gives it.
    pub(crate) fn reset(&self) {
        for connection in &self.shared.state().connections {
            // To connect to nothing aborts a connection at once, also while others hold its descriptor.
            let _ = connect_unspec(&connection.server);
            let _ = connection.library.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = shutdown(&self.listener, Shutdown::Both);
        self.accepting.take().map(JoinHandle::join);
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        self.cut();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// One connection of the library, to its end.
    fn serve(self: Arc<Self>, library: UnixStream, server: SocketAddr) {
        // Where the server is not to be reached, the library's connection just ends.
        let Ok(server) = TcpStream::connect_timeout(&server, CONNECT) else { return };
        // Else Nagle and delayed acknowledgements cost 200 ms a call.
        server.set_nodelay(true).unwrap();
        let connection = Arc::new(Connection { library, server });
        {
            let mut state = self.state();
            if state.ended {
                return;
            }
            state.connections.push(connection.clone());
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.pump(&connection, &connection.library, &connection.server, false));
            scope.spawn(|| self.pump(&connection, &connection.server, &connection.library, true));
        });
        self.state().connections.retain(|other| !Arc::ptr_eq(other, &connection));
    }

    /// One direction of a connection. When it ends, so does the other.
    fn pump<F: AsFd, T>(&self, connection: &Arc<Connection>, from: &F, mut to: &T, answers: bool)
    where
        for<'a> &'a F: Read,
        for<'a> &'a T: Write,
    {
        let mut chunk = vec![0; CHUNK];
        // Looked at first and read later, so that what is held stays where a real network would have it.
        while matches!(recv(from, &mut chunk[..1], RecvFlags::PEEK), Ok((1, _))) {
            let (delay, truncates) = {
                let waits = |state: &State| {
                    !state.ended && (state.held || state.frozen.iter().any(|it| Arc::ptr_eq(it, connection)))
                };
                let mut state = self.changed.wait_while(self.state(), |state| waits(state)).unwrap();
                let truncates = answers && state.truncates;
                state.truncates &= !truncates;
                (state.delay, truncates)
            };
            std::thread::sleep(delay);
            let Ok(length) = { from }.read(&mut chunk) else { break };
            let length = if truncates { length / 2 } else { length };
            if to.write_all(&chunk[..length]).is_err() || truncates {
                break;
            }
        }
        connection.close();
    }
}
