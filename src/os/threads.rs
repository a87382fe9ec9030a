//! Threads without which a server would look alive and be dead.

/// Ends the process, with a message and code 70, if the thread that holds it panics.
pub(crate) struct Vital(pub(crate) &'static str);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            log::error!("the {} thread panicked, so the process ends", self.0);
            log::logger().flush();
            std::process::exit(70);
        }
    }
}
