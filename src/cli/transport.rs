//! A connection on which the answer is read even if the request could not be written to its end.
//!
//! A server that refuses a body answers before it has read the body, and hangs up. A client that is still writing then
//! fails, and would never see why it was refused.

use std::io::ErrorKind;
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Wraps each connection.
#[derive(Debug)]
pub(super) struct ReadAnyway;

#[derive(Debug)]
pub(super) struct Wrapped<T>(T);

impl<T: Transport> Connector<T> for ReadAnyway {
    type Out = Wrapped<T>;

    fn connect(&self, _: &ConnectionDetails, connection: Option<T>) -> Result<Option<Wrapped<T>>, Error> {
        Ok(connection.map(Wrapped))
    }
}

impl<T: Transport> Transport for Wrapped<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, bytes: usize, timeout: NextTimeout) -> Result<(), Error> {
        match self.0.transmit_output(bytes, timeout) {
            // Where there is no answer, reading it fails in turn.
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                Ok(())
            }
            transmitted => transmitted,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}
