//! A peer's host and port.

use std::fmt;
use std::str::FromStr;

/// Where a peer listens: a host's name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The address of `port` on `host`; an IPv6 address stands without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 where the text named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with `port`.
    #[must_use]
    pub fn with_port(self, port: u16) -> Address {
        Address { port, ..self }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `HOST`, `HOST:PORT` or `[IPV6]:PORT`; the port is 0 where none stands.
impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Address, &'static str> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or("lacks the ']' after an IPv6 address")?;
                (host, port.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Ok(0), |port| port.parse().map_err(|_| "has a port that is no port"))?;
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err("names no host");
        }
        Ok(Address::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for text in ["om1:8981", "127.0.0.1:1", "[::1]:9862"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("om1".parse::<Address>().unwrap().with_port(7).to_string(), "om1:7");
        for text in ["", ":1", "h:", "h:70000", "[::1", "a/b:1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
