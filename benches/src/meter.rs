//! A meter: the CPU time of a server and of the generator between two moments, and what was
//! delivered meanwhile.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::crowd::Crowd;
use crate::process;
use crate::server::Server;

pub struct Meter {
    started: Instant,
    received: u64,
    server_cpu: Duration,
    generator_cpu: Duration,
}

pub struct Reading {
    pub elapsed: Duration,
    pub deliveries: u64,
    pub server_cpu: Duration,
    /// When it comes near `elapsed`, the generator was the limit, not the server.
    pub generator_cpu: Duration,
}

impl Meter {
    pub fn start(server: &Server, crowd: &Crowd) -> Result<Meter> {
        Ok(Meter {
            started: Instant::now(),
            received: crowd.received(),
            server_cpu: server.cpu_time()?,
            generator_cpu: process::cpu_time(std::process::id())?,
        })
    }

    pub fn stop(self, server: &Server, crowd: &Crowd) -> Result<Reading> {
        Ok(Reading {
            elapsed: self.started.elapsed(),
            deliveries: crowd.received() - self.received,
            server_cpu: server.cpu_time()? - self.server_cpu,
            generator_cpu: process::cpu_time(std::process::id())? - self.generator_cpu,
        })
    }
}

impl Reading {
    pub fn server_micros_per_delivery(&self) -> f64 {
        self.server_cpu.as_secs_f64() * 1e6 / self.deliveries as f64
    }

    pub fn deliveries_per_sec(&self) -> f64 {
        self.deliveries as f64 / self.elapsed.as_secs_f64()
    }

    /// The cores that the generator kept busy.
    pub fn generator_cores(&self) -> f64 {
        self.generator_cpu.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}
