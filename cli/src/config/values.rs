//! Reading one setting as what it means: a size, a time, an address, a list.
//!
//! Units    sizes are binary (`5GB` is 5 × 2^30 bytes); a bare number of a size is bytes. A time needs a unit, as
//!          Ozone's do: `ms`, `s`, `m`, `h`, `d`.
//! Errors   `ConfigError::Value` with the setting's own example, or `Missing` where there is no default.

use std::path::PathBuf;
use std::time::Duration;

use allotrope_types::ByteCount;

use super::known::row;
use super::{ConfigError, Kind, Known, Settings};

impl Settings {
    /// Is the value of `known`, given or default, of its kind? An empty one is: whoever needs it says so.
    pub(crate) fn check_value(&self, known: &'static Known) -> Result<(), ConfigError> {
        let Some(text) = self.text(known.name) else { return Ok(()) };
        match known.kind {
            Kind::Text => Ok(()),
            Kind::Choice(words) if words.contains(&text) => Ok(()),
            Kind::Choice(words) => {
                self.parsed(known.name, |_| Err(format!("not one of {}", words.join(", "))))
            }
            Kind::Size => self.bytes(known.name).map(drop),
            Kind::Time => self.time(known.name).map(drop),
            Kind::Count => self.count(known.name).map(drop),
            Kind::Port => self.port(known.name).map(drop),
            Kind::Address => self.address(known.name, 0).map(drop),
            Kind::Folders => self.folders(known.name).map(drop),
        }
    }

    /// The value given for `name`, else its default; `None` when both are empty.
    pub(crate) fn text(&self, name: &'static str) -> Option<&str> {
        let value = self.given(name).map_or_else(|| known(name).default, |setting| setting.value.as_str());
        (!value.is_empty()).then_some(value)
    }

    /// As `text`, where the role cannot run without it.
    pub(crate) fn text_needed(&self, name: &'static str) -> Result<&str, ConfigError> {
        self.text(name).ok_or(ConfigError::Missing { name, example: known(name).example })
    }

    /// A size.
    pub(crate) fn bytes(&self, name: &'static str) -> Result<ByteCount, ConfigError> {
        self.parsed(name, |text| text.parse::<ByteCount>().map_err(|e| e.to_string()))
    }

    /// A time with its unit.
    pub(crate) fn time(&self, name: &'static str) -> Result<Duration, ConfigError> {
        self.parsed(name, time)
    }

    /// A count of things.
    pub(crate) fn count(&self, name: &'static str) -> Result<usize, ConfigError> {
        self.parsed(name, |text| text.parse().map_err(|_| "not a whole number".to_owned()))
    }

    /// A TCP port.
    pub(crate) fn port(&self, name: &'static str) -> Result<u16, ConfigError> {
        self.parsed(name, |text| text.parse().map_err(|_| "not a port (0 to 65535)".to_owned()))
    }

    /// `HOST:PORT` or `HOST`; the port is `port` where none is given.
    pub(crate) fn address(&self, name: &'static str, port: u16) -> Result<(String, u16), ConfigError> {
        self.parsed(name, |text| match text.rsplit_once(':') {
            Some((host, given)) if !host.is_empty() => given
                .parse()
                .map(|given| (host.to_owned(), given))
                .map_err(|_| format!("{given:?} is not a port")),
            Some(_) => Err("there is no host before the colon".to_owned()),
            None => Ok((text.to_owned(), port)),
        })
    }

    /// Folders, separated by commas.
    pub(crate) fn folders(&self, name: &'static str) -> Result<Vec<PathBuf>, ConfigError> {
        let text = self.text_needed(name)?;
        Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(PathBuf::from).collect())
    }

    /// Words separated by commas; none where there is no value.
    pub(crate) fn words<C: FromIterator<String>>(&self, name: &'static str) -> C {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let text = self.text_needed(name)?;
        parse(text.trim()).map_err(|reason| ConfigError::Value {
            name,
            value: text.to_owned(),
            origin: self
                .given(name)
                .map_or_else(|| "default".to_owned(), |setting| setting.origin.to_string()),
            reason,
            example: known(name).example,
        })
    }
}

fn known(name: &'static str) -> &'static Known {
    row(name).expect("only names that stand in KNOWN are read")
}

/// Parses a whole number and its unit.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or("it has no unit (ms, s, m, h, d)")?;
    let (digits, unit) = text.split_at(unit_at);
    let number: u64 = digits.parse().map_err(|_| "it does not begin with a whole number".to_owned())?;
    let millis_each = match unit.trim().to_ascii_lowercase().as_str() {
        "ms" | "milliseconds" => 1,
        "s" | "sec" | "seconds" => 1_000,
        "m" | "min" | "minutes" => 60_000,
        "h" | "hours" => 3_600_000,
        "d" | "days" => 86_400_000,
        other => return Err(format!("{other:?} is no unit of time (ms, s, m, h, d)")),
    };
    number.checked_mul(millis_each).map(Duration::from_millis).ok_or_else(|| "it is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn with(name: &str, value: &str) -> Settings {
        let mut settings = Settings::default();
        settings.put(name, value, Origin::Flag);
        settings
    }

    #[test]
    fn every_default_and_example_is_of_its_kind() {
        for known in super::super::KNOWN {
            for text in [known.default, known.example].into_iter().filter(|text| !text.is_empty()) {
                with(known.name, text).check_value(known).unwrap();
            }
        }
    }

    #[test]
    fn a_wrong_value_names_its_setting_its_origin_and_one_that_would_do() {
        let error =
            with("hdds.heartbeat.interval", "30").time("hdds.heartbeat.interval").unwrap_err().to_string();
        for part in
            ["--set", "hdds.heartbeat.interval = \"30\"", "no unit", "try: hdds.heartbeat.interval = 30s"]
        {
            assert!(error.contains(part), "{error}");
        }
        let error = Settings::default().folders("hdds.datanode.dir").unwrap_err().to_string();
        assert!(error.contains("try: hdds.datanode.dir = /data/disk1,/data/disk2"), "{error}");
    }

    #[test]
    fn times_and_addresses_are_read_with_their_units_and_ports() {
        let interval = |text| with("hdds.heartbeat.interval", text).time("hdds.heartbeat.interval").ok();
        assert_eq!(interval("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(interval("2m"), Some(Duration::from_secs(120)));
        assert_eq!(interval("99999999999999999999s"), None);
        assert_eq!(interval("5 parsecs"), None);
        let address = |text| with("ozone.om.address", text).address("ozone.om.address", 9862).ok();
        assert_eq!(address("om1"), Some(("om1".to_owned(), 9862)));
        assert_eq!(address("om1:7"), Some(("om1".to_owned(), 7)));
        assert_eq!(address(":7"), None);
        assert_eq!(address("om1:seven"), None);
    }
}
