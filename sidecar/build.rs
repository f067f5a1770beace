//! How the program is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A position-independent program relocates its tables when it starts. In the packed form they take a twentieth of the space, which is more
    // than a megabyte of the file and of each process's memory. glibc reads it since 2.36, which the signer needs anyway.
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("ARCH") == "x86_64" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
