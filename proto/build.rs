//! Generates the messages: `.proto` files in, one Rust module a protocol out, without `protoc`.
//!
//! Each entry of `PROTOCOLS` is compiled as a descriptor set of its own, because two of Ozone's protocols share a
//! package and define a message twice. Beside prost's code it writes `required.rs`: for each message the fields that
//! must be present, which prost itself does not check (it reads a missing one as its default).
#![allow(clippy::disallowed_methods, reason = "a build script reads the sources and writes to OUT_DIR")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

/// A protocol: the Rust module it becomes, its own files, and the modules whose messages it borrows.
struct Protocol {
    module: &'static str,
    files: &'static [&'static str],
    borrows: &'static [&'static str],
}

const PROTOCOLS: &[Protocol] = &[
    Protocol { module: "hdds", files: &["hdds.proto"], borrows: &[] },
    Protocol {
        module: "hadoop",
        files: &[
            "hadoop/rpc_header.proto",
            "hadoop/rpc_engine.proto",
            "hadoop/connection_context.proto",
            "hadoop/security.proto",
        ],
        borrows: &[],
    },
    Protocol { module: "container", files: &["container.proto", "intra_datanode.proto"], borrows: &[] },
    Protocol { module: "heartbeat", files: &["heartbeat.proto"], borrows: &["hdds"] },
    Protocol { module: "scm_block", files: &["scm_block.proto"], borrows: &["hdds"] },
    Protocol { module: "scm_container", files: &["scm_container.proto"], borrows: &["hdds"] },
    Protocol { module: "scm_security", files: &["scm_security.proto"], borrows: &["hdds"] },
    Protocol { module: "secret_key", files: &["secret_key.proto"], borrows: &["hdds"] },
    Protocol { module: "inter_scm", files: &["inter_scm.proto"], borrows: &[] },
    Protocol { module: "scm_ratis", files: &["scm_ratis.proto"], borrows: &[] },
    Protocol { module: "scm_update", files: &["scm_update.proto"], borrows: &[] },
    Protocol { module: "disk_balancer", files: &["disk_balancer.proto"], borrows: &["hdds"] },
    Protocol { module: "reconfigure", files: &["reconfigure.proto"], borrows: &[] },
    Protocol {
        module: "om",
        files: &[
            "om/acl.proto",
            "om/bucket.proto",
            "om/crypto.proto",
            "om/file.proto",
            "om/key.proto",
            "om/lifecycle.proto",
            "om/multipart.proto",
            "om/purge.proto",
            "om/request.proto",
            "om/service.proto",
            "om/snapshot.proto",
            "om/tenant.proto",
            "om/token.proto",
            "om/volume.proto",
        ],
        borrows: &["hdds", "hadoop"],
    },
    Protocol { module: "om_admin", files: &["om_admin.proto"], borrows: &[] },
    Protocol { module: "om_inter", files: &["om_inter.proto"], borrows: &[] },
    Protocol { module: "om_storage", files: &["om_storage.proto"], borrows: &["hdds"] },
    Protocol { module: "admin", files: &["allotrope/v1/admin.proto"], borrows: &[] },
    Protocol { module: "ratis", files: &["ratis/raft.proto"], borrows: &[] },
];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("protos");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", protos.display());
    println!("cargo::rerun-if-changed=build.rs");

    let mut required = Required::default();
    let mut own_files: BTreeMap<&str, Vec<FileDescriptorProto>> = BTreeMap::new();
    for protocol in PROTOCOLS {
        let set = protox::compile(protocol.files, [&protos])?;
        let own: Vec<_> =
            set.file.iter().filter(|file| protocol.files.contains(&file.name())).cloned().collect();
        generate(protocol, &own_files, set, &out)?;
        required.learn(protocol, &own);
        own_files.insert(protocol.module, own);
    }
    std::fs::write(out.join("required.rs"), required.render()?)?;
    Ok(())
}

/// Writes `OUT_DIR/MODULE.rs`.
fn generate(
    protocol: &Protocol,
    known: &BTreeMap<&str, Vec<FileDescriptorProto>>,
    set: FileDescriptorSet,
    out: &Path,
) -> Result<(), Box<dyn Error>> {
    let folder = out.join(protocol.module);
    std::fs::create_dir_all(&folder)?;
    let mut config = prost_build::Config::new();
    config.out_dir(&folder).bytes(["."]);
    for module in protocol.borrows {
        for file in &known[module] {
            for name in file
                .message_type
                .iter()
                .map(DescriptorProto::name)
                .chain(file.enum_type.iter().map(EnumDescriptorProto::name))
            {
                config.extern_path(
                    format!(".{}.{name}", file.package()),
                    format!("crate::{module}::{}", name.to_upper_camel_case()),
                );
            }
        }
    }
    for field in boxed(&set) {
        config.boxed(field);
    }
    let package = set
        .file
        .iter()
        .find(|file| protocol.files.contains(&file.name()))
        .map(|file| file.package().to_owned())
        .ok_or("a protocol has files")?;
    config.compile_fds(set)?;
    let written = if package.is_empty() { "_.rs".to_owned() } else { format!("{package}.rs") };
    std::fs::rename(folder.join(written), out.join(format!("{}.rs", protocol.module)))?;
    Ok(())
}

/// OM's envelopes have a field for each of some 150 commands, of which one is there. Held in place they are 18 KiB and 10 KiB,
/// and each move of one copies all of it.
const BOXED: [&str; 2] = ["OMRequest", "OMResponse"];

/// The paths of the fields that are kept behind a pointer.
fn boxed(set: &FileDescriptorSet) -> Vec<String> {
    let messages =
        set.file.iter().flat_map(|file| file.message_type.iter().map(move |message| (file, message)));
    messages
        .filter(|(_, message)| BOXED.contains(&message.name()))
        .flat_map(|(file, message)| {
            let held = |field: &&FieldDescriptorProto| {
                field.r#type() == Type::Message && field.label() == Label::Optional
            };
            let path = |field: &FieldDescriptorProto| {
                format!(".{}.{}.{}", file.package(), message.name(), field.name())
            };
            message.field.iter().filter(held).map(path).collect::<Vec<_>>()
        })
        .collect()
}

/// What `required.rs` is made of: every message by its full name within its protocol.
#[derive(Default)]
struct Required {
    messages: BTreeMap<(String, String), Known>,
    enums: BTreeMap<(String, String), BTreeSet<i32>>,
    borrows: BTreeMap<String, Vec<String>>,
}

struct Known {
    rust_path: String,
    /// The name people know the message by: without its package.
    name: String,
    message: DescriptorProto,
}

impl Required {
    fn learn(&mut self, protocol: &Protocol, files: &[FileDescriptorProto]) {
        let module = protocol.module.to_owned();
        let borrows = protocol.borrows.iter().map(|&name| name.to_owned()).collect();
        self.borrows.insert(module.clone(), borrows);
        for file in files {
            let scope =
                if file.package().is_empty() { String::new() } else { format!(".{}", file.package()) };
            for item in &file.enum_type {
                self.learn_enum(&module, &scope, item);
            }
            for message in &file.message_type {
                self.learn_message(&module, &scope, &format!("crate::{module}"), "", message);
            }
        }
    }

    fn learn_enum(&mut self, module: &str, scope: &str, item: &EnumDescriptorProto) {
        let values = item.value.iter().map(|value| value.number()).collect();
        self.enums.insert((module.to_owned(), format!("{scope}.{}", item.name())), values);
    }

    fn learn_message(
        &mut self,
        module: &str,
        scope: &str,
        rust_scope: &str,
        outer: &str,
        message: &DescriptorProto,
    ) {
        let full = format!("{scope}.{}", message.name());
        let name = format!("{outer}{}", message.name());
        let inner_scope = format!("{rust_scope}::{}", message.name().to_snake_case());
        for item in &message.enum_type {
            self.learn_enum(module, &full, item);
        }
        for nested in &message.nested_type {
            self.learn_message(module, &full, &inner_scope, &format!("{name}."), nested);
        }
        let rust_path = format!("{rust_scope}::{}", message.name().to_upper_camel_case());
        self.messages.insert((module.to_owned(), full), Known { rust_path, name, message: message.clone() });
    }

    /// The protocol that owns `type_name`, seen from `module`.
    fn owner<'a, V>(
        &'a self,
        map: &'a BTreeMap<(String, String), V>,
        module: &str,
        type_name: &str,
    ) -> Option<(&'a (String, String), &'a V)> {
        std::iter::once(module)
            .chain(self.borrows[module].iter().map(String::as_str))
            .find_map(|place| map.get_key_value(&(place.to_owned(), type_name.to_owned())))
    }

    fn render(&self) -> Result<String, Box<dyn Error>> {
        let symbols: BTreeMap<&(String, String), String> = self
            .messages
            .keys()
            .map(|key| {
                let symbol = format!("{}{}", key.0, key.1.replace('.', "__")).to_uppercase();
                // Upper case may merge two names that differ in case only; the index keeps them apart.
                (key, symbol)
            })
            .enumerate()
            .map(|(index, (key, symbol))| (key, format!("{symbol}_{index}")))
            .collect();
        let mut text = String::new();
        for (key, known) in &self.messages {
            let mut fields = String::new();
            let mut required_count = 0;
            for field in &known.message.field {
                let required = field.label() == Label::Required;
                let holds = match field.r#type() {
                    Type::Message => {
                        let (of, _) = self
                            .owner(&self.messages, &key.0, field.type_name())
                            .ok_or_else(|| format!("{} is nowhere", field.type_name()))?;
                        format!("Holds::Message(&{})", symbols[of])
                    }
                    Type::Enum if required => {
                        let (_, values) = self
                            .owner(&self.enums, &key.0, field.type_name())
                            .ok_or_else(|| format!("{} is nowhere", field.type_name()))?;
                        format!("Holds::Enum(&{:?})", values.iter().collect::<Vec<_>>())
                    }
                    _ if required => "Holds::Other".to_owned(),
                    _ => continue,
                };
                let bit = if required { format!("Some({required_count})") } else { "None".to_owned() };
                required_count += usize::from(required);
                write!(
                    fields,
                    "FieldRules {{ number: {}, name: {:?}, required: {bit}, holds: {holds} }}, ",
                    field.number(),
                    field.name()
                )?;
            }
            assert!(required_count <= 64, "{} has more required fields than a word has bits", known.name);
            let symbol = &symbols[key];
            let names: Vec<_> = known.message.field.iter().map(|field| field.name()).collect();
            writeln!(
                text,
                "static {symbol}: MessageRules = MessageRules {{ name: {:?}, names: &{names:?}, \
                 required_count: {required_count}, fields: &[{fields}] }};\n\
                 impl Checked for {} {{ const RULES: &'static MessageRules = &{symbol}; }}",
                known.name, known.rust_path
            )?;
        }
        Ok(text)
    }
}
