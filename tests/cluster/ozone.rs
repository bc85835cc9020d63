//! Stock `ozone sh`, `ozone fs` and the calls of a stock S3 gateway, in one JVM.

use super::Cluster;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// One JVM that runs commands of Ozone's own shells, one after the other.
pub(crate) struct Ozone {
    child: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Ozone {
    pub(crate) fn start(cluster: &Cluster) -> Ozone {
        let class_path = super::java_class_path("shell");
        let mut child = Command::new("java")
            .args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"])
            .args(["--add-opens", "java.base/java.nio=ALL-UNNAMED"])
            .arg(format!("-Dscm={}", cluster.scm_address()))
            .args(["-cp", &class_path, "allotrope.interop.OzoneCommands", &cluster.om_address()])
            .env("HADOOP_USER_NAME", "ann")
            .current_dir(cluster.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Ozone { child, commands, answers }
    }

    /// The exit code of a command, and what it printed.
    pub(crate) fn run(&mut self, words: &[&str]) -> (i32, String) {
        writeln!(self.commands, "{}", words.join("\t")).unwrap();
        self.commands.flush().unwrap();
        let mut head = String::new();
        self.answers.read_line(&mut head).unwrap();
        let numbers: Vec<i64> =
            head.trim().split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
        let [code, len] = numbers[..] else { panic!("the peer says {head:?} after {words:?}") };
        let mut text = vec![0; usize::try_from(len).unwrap()];
        self.answers.read_exact(&mut text).unwrap();
        (i32::try_from(code).unwrap(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Runs a command that must succeed; what it printed.
    pub(crate) fn ok(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        let (code, text) = self.run(&words);
        assert_eq!(code, 0, "{command}: {text}");
        text
    }

    /// Runs a command that must fail and say `why`.
    pub(crate) fn fails(&mut self, command: &str, why: &str) {
        let words: Vec<&str> = command.split(' ').collect();
        let (code, text) = self.run(&words);
        assert_ne!(code, 0, "{command}: {text}");
        assert!(text.contains(why), "{command}: {text}");
    }

    /// Runs a command until it succeeds: for what a start brings within seconds.
    pub(crate) fn eventually(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        for _ in 0..100 {
            let (code, text) = self.run(&words);
            if code == 0 {
                return text;
            }
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
        panic!("{command} never succeeds")
    }
}

impl Drop for Ozone {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
