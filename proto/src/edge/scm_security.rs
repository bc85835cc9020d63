//! All servers to SCM: certificates.
//!
//! Units   times are milliseconds since 1970. Certificates and requests for them are PEM, and stay text here: who issues
//!         or trusts them reads them.
//! Source  scm.md 4.2 of the wire facts. Revocation lists are in the messages and no longer in use.

use super::field::enums;
use super::hdds::{DatanodeDetails, NodeType, Port};
use super::message::Empty;
use crate::scm_security as wire;
use crate::scm_security::Type;

pub use crate::scm_security::Status as SecurityStatus;
pub use crate::scm_security::scm_get_cert_response_proto::ResponseCode as CertOutcome;
pub use crate::scm_security::scm_list_certificate_response_proto::ResponseCode as ListOutcome;
pub use crate::scm_security::scm_revoke_certificates_request_proto::Reason as RevocationReason;

enums!(CertOutcome, ListOutcome, RevocationReason, SecurityStatus, Type);

envelope! {
    /// A call about certificates.
    SecurityRequest = wire => ScmSecurityRequest
    /// What is asked.
    SecurityCall by cmd_type: Type {
        trace_id: Option<String>,
        ;
        GetDataNodeCertificate => get_data_node_cert_request: DatanodeCertRequest,
        GetOmCertificate => get_om_cert_request: OmCertRequest,
        GetCertificate => get_certificate_request: NamedCertificate,
        GetCaCertificate => get_ca_certificate_request: Empty,
        ListCertificate => list_certificate_request: ListCertificates,
        GetScmCertificate => get_scm_certificate_request: ScmCertRequest,
        ListCaCertificate => list_ca_certificate_request_proto: Empty,
        GetCrls => get_crls_request: GetCrls,
        GetLatestCrlId => get_latest_crl_id_request: Empty,
        RevokeCertificates => revoke_certificates_request: RevokeCertificates,
        GetCert => get_cert_request: CertRequest,
        GetAllRootCaCertificates => get_all_root_ca_certificates_request_proto: Empty,
        RemoveExpiredCertificates => remove_expired_certificates_request_proto: Empty,
        ;
        shared {
            GetRootCaCertificate => get_ca_certificate_request: Empty,
        }
    }
}

envelope! {
    opt
    /// SCM's answer.
    SecurityResponse = wire => ScmSecurityResponse
    /// What SCM says.
    SecurityAnswer by cmd_type: Type {
        trace_id: Option<String>,
        /// Absent is true.
        success: Option<bool>,
        /// Explains a status other than OK.
        message: Option<String>,
        status: SecurityStatus,
        ;
        ListCertificate => list_certificate_response_proto: Certificates,
        GetCrls => get_crls_response_proto: Vec<Crl>,
        GetLatestCrlId => get_latest_crl_id_response_proto: CrlId,
        RevokeCertificates => revoke_certificates_response_proto: CrlId,
        GetCert => get_cert_response_proto: Certificate,
        GetAllRootCaCertificates => all_root_ca_certificates_response_proto: Vec<String>,
        RemoveExpiredCertificates => remove_expired_certificates_response_proto: Vec<String>,
        ;
        shared {
            GetDataNodeCertificate => get_cert_response_proto: Certificate,
            GetOmCertificate => get_cert_response_proto: Certificate,
            GetCertificate => get_cert_response_proto: Certificate,
            GetCaCertificate => get_cert_response_proto: Certificate,
            GetScmCertificate => get_cert_response_proto: Certificate,
            GetRootCaCertificate => get_cert_response_proto: Certificate,
            ListCaCertificate => list_certificate_response_proto: Certificates,
        }
    }
}

empty! {
    wire;
    ScmGetCaCertificateRequestProto,
    ScmListCaCertificateRequestProto,
    ScmGetRootCaCertificateRequestProto,
    ScmGetLatestCrlIdRequestProto,
    ScmGetAllRootCaCertificatesRequestProto,
    ScmRemoveExpiredCertificatesRequestProto,
}
alone! {
    wire;
    ScmGetCrlsResponseProto.crl_infos is Vec<Crl>,
    ScmGetAllRootCaCertificatesResponseProto.all_x509_root_ca_certificates is Vec<String>,
    ScmRemoveExpiredCertificatesResponseProto.removed_expired_certificates is Vec<String>,
}
message! {
    /// A datanode asks for a certificate. The request is PKCS#10 in PEM.
    DatanodeCertRequest = wire => ScmGetDataNodeCertRequestProto {
        datanode_details: DatanodeDetails,
        csr: String,
    }
}
message! {
    /// An OM asks for a certificate.
    OmCertRequest = wire => ScmGetOmCertRequestProto {
        om_details: OmDetails,
        csr: String,
    }
}
message! {
    /// An SCM asks for a certificate of its own authority.
    ScmCertRequest = wire => ScmGetScmCertRequestProto {
        scm_details: ScmDetails,
        csr: String,
        renew: Option<bool>,
    }
}
message! {
    /// Any other server asks for a certificate.
    CertRequest = wire => ScmGetCertRequestProto {
        node_details: NodeDetails,
        csr: String,
    }
}
message! {
    /// Asks for a certificate by its serial number.
    NamedCertificate = wire => ScmGetCertificateRequestProto {
        cert_serial_id: String,
    }
}
message! {
    /// Asks for certificates of one role, after `start_cert_id`.
    ListCertificates = wire => ScmListCertificateRequestProto {
        role: Option<NodeType>,
        start_cert_id: Option<i64>,
        count: u32,
        is_revoked: Option<bool>,
    }
}
message! {
    /// A certificate with its chain, and those of the authorities, in PEM.
    Certificate = wire => ScmGetCertResponseProto {
        response_code: CertOutcome,
        x509_certificate: String,
        x509_ca_certificate: Option<String>,
        x509_root_ca_certificate: Option<String>,
    }
}
message! {
    /// Certificates in PEM.
    Certificates = wire => ScmListCertificateResponseProto {
        response_code: ListOutcome,
        certificates: Vec<String>,
    }
}
message! {
    /// Asks for revocation lists; no release does any more.
    GetCrls = wire => ScmGetCrlsRequestProto {
        crl_id: Vec<i64>,
    }
}
message! {
    /// The newest revocation list.
    CrlId = wire => ScmGetLatestCrlIdResponseProto, ScmRevokeCertificatesResponseProto {
        crl_id: Option<i64>,
    }
}
message! {
    /// Certificates to revoke; no release does any more.
    RevokeCertificates = wire => ScmRevokeCertificatesRequestProto {
        cert_ids: Vec<String>,
        reason: Option<RevocationReason>,
        revoke_time: Option<u64>,
    }
}
message! {
    /// An OM. Its id is a name, not always a UUID.
    OmDetails = crate::hdds => OzoneManagerDetailsProto {
        uuid: String,
        ip_address: String,
        host_name: String,
        ports: Vec<Port>,
    }
}
message! {
    /// An SCM.
    ScmDetails = crate::hdds => ScmNodeDetailsProto {
        scm_node_id: String,
        cluster_id: String,
        host_name: String,
    }
}
message! {
    /// A server of any kind.
    NodeDetails = crate::hdds => NodeDetailsProto {
        uuid: String,
        cluster_id: String,
        host_name: String,
        node_type: NodeType,
    }
}
message! {
    /// A revocation list.
    Crl = crate::hdds => CrlInfoProto {
        x509_crl: String,
        creation_timestamp: u64,
        crl_sequence_id: i64,
    }
}
