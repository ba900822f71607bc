//! Compiles `memory.c` where musl is the C library.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=memory.c");
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("musl") {
        return;
    }
    cc::Build::new()
        .file("memory.c")
        // Else the compiler makes a call of `memcpy` of the loop in `memcpy`.
        .flag("-ffreestanding")
        .flag("-fno-builtin")
        .flag_if_supported("-fno-tree-loop-distribute-patterns")
        .opt_level(2)
        .debug(false)
        .warnings_into_errors(true)
        .compile("musl_memory");
}
