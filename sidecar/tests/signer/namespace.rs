//! A network namespace with a thread in it, and a veth pair that leads there: another machine, as far as TCP can tell.
//! Needs root and the Debian package iproute2.

use crate::process::wait_for;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// 198.18.0.0/15 is for benchmarks of networks, so nobody lives there. A pair needs four addresses of it.
const PAIRS: u32 = (1 << 17) / 4;

type Job = Box<dyn FnOnce() + Send>;

/// Gone when dropped. When the process dies before, the kernel removes it with the thread.
pub(crate) struct Namespace {
    link: String,
    address: Ipv4Addr,
    thread: Sender<Job>,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::SeqCst);
        let name = format!("tezos-signer-{}-{made}", std::process::id());
        ip(&["netns", "add", &name]).unwrap();
        // The name of the link is the claim to its addresses: only one can make it, in whatever process.
        let first = std::process::id() * 16 + made;
        let (link, number) = (first..first + PAIRS)
            .find_map(|number| {
                let (number, link) = (number % PAIRS, format!("tzs{}", number % PAIRS));
                match ip(&["link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &name]) {
                    Ok(()) => Some((link, number)),
                    Err(output) if output.contains("File exists") => None,
                    Err(output) => panic!("{output}"),
                }
            })
            .expect("a veth pair that is free");
        let address = move |host: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number * 4 + host);

        let place = File::open(format!("/run/netns/{name}")).unwrap();
        let (thread, jobs) = channel::<Job>();
        std::thread::spawn(move || {
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            drop(place);
            for errand in jobs {
                errand();
            }
        });
        let namespace = Self { link, address: address(2), thread };
        namespace.run(move || {
            ip(&["addr", "add", &format!("{}/30", address(2)), "dev", "eth0"]).unwrap();
        });
        // The thread keeps it alive from here on.
        ip(&["netns", "delete", &name]).unwrap();
        ip(&["addr", "add", &format!("{}/30", address(1)), "dev", &namespace.link]).unwrap();
        ip(&["link", "set", &namespace.link, "up"]).unwrap();
        namespace.plug();
        namespace
    }

    /// The address of what listens in it.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Does something in it. Threads and processes that this starts stay in it.
    pub(crate) fn run<T: Send + 'static>(&self, errand: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = channel();
        self.thread.send(Box::new(move || drop(sender.send(errand())))).unwrap();
        result.recv().expect("what was to be done in the namespace")
    }

    /// Takes the cable out: packets get lost, and connections do not hear of it.
    pub(crate) fn unplug(&self) {
        self.run(|| ip(&["link", "set", "eth0", "down"])).unwrap();
    }

    /// Puts it in again, and waits until packets go both ways: the kernel takes up to a second for it.
    pub(crate) fn plug(&self) {
        self.run(|| ip(&["link", "set", "eth0", "up"])).unwrap();
        wait_for("the network", || {
            // A refusal is an answer too. Nobody listens at port 9, discard.
            let asked = TcpStream::connect_timeout(&(self.address, 9).into(), Duration::from_millis(50));
            asked.err().filter(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["link", "delete", &self.link]);
    }
}

/// `ip` of iproute2, in the namespace of the calling thread.
fn ip(arguments: &[&str]) -> Result<(), String> {
    let ended = Command::new("ip").args(arguments).output().expect("ip of the Debian package iproute2");
    let output = String::from_utf8_lossy(&ended.stderr);
    let why = "tests of a network that fails make network namespaces, for which they need root and CAP_NET_ADMIN";
    if ended.status.success() { Ok(()) } else { Err(format!("ip {}: {output}({why})", arguments.join(" "))) }
}
