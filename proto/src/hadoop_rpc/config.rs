//! Bounds of a Hadoop RPC server, with reasons.

use std::time::Duration;

use crate::net::TransferPace;

/// What one server may hold and how long it waits.
#[derive(Clone, Debug)]
pub struct HadoopServerConfig {
    /// Longest request frame; a longer one closes the connection, as Java does. Default 128 MiB
    /// (`ipc.maximum.data.length`).
    pub frame_bytes_max: u32,
    /// Longest response frame; a longer answer becomes an error of its call. Default 128 MiB, which is what a
    /// client accepts (`ipc.maximum.response.length`).
    pub response_bytes_max: u32,
    /// Request bytes that one connection may hold, read or being read. Default 128 MiB.
    pub request_bytes_connection_max: usize,
    /// Request bytes that all connections may hold. Default 512 MiB.
    pub request_bytes_max: usize,
    /// Response bytes that wait to be written to one connection. Default 128 MiB.
    pub response_bytes_connection_max: usize,
    /// Response bytes that wait to be written to all. Default 512 MiB.
    pub response_bytes_max_total: usize,
    /// Calls of one connection that are not yet answered; beyond it the connection is not read. Default 1,024.
    pub calls_connection_max: usize,
    /// Calls of all connections that are not yet answered. Default 16,384.
    pub calls_max: usize,
    /// Longest wait for an answer of the service. Default 15 min (`ozone.om.client.rpc.timeout`).
    pub call_time_max: Duration,
    /// A connection without a call in flight is closed after this long without a byte. Default 2 min; a Java
    /// client closes after 10 s of its own accord.
    pub idle_time_max: Duration,
    /// Longest wait for preamble and connection context. Default 30 s.
    pub opening_time_max: Duration,
    /// How slowly a frame may arrive or leave. A frame that arrives slower closes the connection, and so does a
    /// reader that takes its answers slower.
    pub pace: TransferPace,
}

const MIB: usize = 1 << 20;

impl Default for HadoopServerConfig {
    fn default() -> HadoopServerConfig {
        HadoopServerConfig {
            frame_bytes_max: 128 << 20,
            response_bytes_max: 128 << 20,
            request_bytes_connection_max: 128 * MIB,
            request_bytes_max: 512 * MIB,
            response_bytes_connection_max: 128 * MIB,
            response_bytes_max_total: 512 * MIB,
            calls_connection_max: 1024,
            calls_max: 16 * 1024,
            call_time_max: Duration::from_secs(15 * 60),
            idle_time_max: Duration::from_secs(120),
            opening_time_max: Duration::from_secs(30),
            pace: TransferPace::default(),
        }
    }
}

/// Bounds that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A frame of the allowed length could never be held.
    #[error(
        "{frame} is {frame_bytes}, more than {budget} ({budget_bytes}): such a frame could never be held"
    )]
    FrameBeyondBudget {
        /// The frame's setting.
        frame: &'static str,
        /// Its value.
        frame_bytes: usize,
        /// The budget's setting.
        budget: &'static str,
        /// Its value.
        budget_bytes: usize,
    },
    /// A count that must not be 0.
    #[error("{0} is 0: nothing could be served")]
    Zero(&'static str),
}

impl HadoopServerConfig {
    /// Refuses bounds under which some allowed frame would wait for ever.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fits = |frame, frame_bytes: u32, budget, budget_bytes: usize| {
            let frame_bytes = frame_bytes as usize;
            if frame_bytes <= budget_bytes {
                Ok(())
            } else {
                Err(ConfigError::FrameBeyondBudget { frame, frame_bytes, budget, budget_bytes })
            }
        };
        let (request, response) = (self.frame_bytes_max, self.response_bytes_max);
        fits("frame_bytes_max", request, "request_bytes_connection_max", self.request_bytes_connection_max)?;
        fits("frame_bytes_max", request, "request_bytes_max", self.request_bytes_max)?;
        let own = self.response_bytes_connection_max;
        fits("response_bytes_max", response, "response_bytes_connection_max", own)?;
        fits("response_bytes_max", response, "response_bytes_max_total", self.response_bytes_max_total)?;
        for (name, value) in
            [("calls_connection_max", self.calls_connection_max), ("calls_max", self.calls_max)]
        {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_each_other_and_a_frame_beyond_its_budget_is_refused() {
        assert_eq!(HadoopServerConfig::default().check(), Ok(()));
        let narrow = HadoopServerConfig { request_bytes_max: 1000, ..HadoopServerConfig::default() };
        assert!(matches!(
            narrow.check(),
            Err(ConfigError::FrameBeyondBudget { budget: "request_bytes_max", .. })
        ));
        let none = HadoopServerConfig { calls_max: 0, ..HadoopServerConfig::default() };
        assert_eq!(none.check(), Err(ConfigError::Zero("calls_max")));
    }
}
