//! The Mujian app and its command line.

fn main() -> std::process::ExitCode {
    mujian::cli::main()
}
