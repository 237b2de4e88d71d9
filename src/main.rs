//! The `spendbook` program: parse, run, exit code.

use std::process::ExitCode;

/// Much of a night is small allocations on two threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    spendbook::cli::main()
}
