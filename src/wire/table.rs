//! The figures of the RFCs as tables: what there is, by which number, and what it consists of.
//!
//! A table hands its rows to the macro that is named to it. There are a few of those, each in the
//! module of what it makes: code points, types, how they are read, written and owned. There is told
//! what holds for every row; here stands what tells one from another. To add a message, a parameter
//! or a policy is to add a row, and a test.

/// The parameters (RFC 5354 §3): a variant of [`Parameter`](super::Parameter), what it holds and
/// how a view holds that, and its numbers with their names and sections.
macro_rules! parameters {
    ($to:ident) => {
        $to! {
            /// An IPv4 address
            Ipv4Address(Ipv4Addr, Ipv4Addr) {
                IPV4_ADDRESS = 0x1, "IPv4 address", "3.1";
            }
            /// An IPv6 address
            Ipv6Address(Ipv6Addr, Ipv6Addr) {
                IPV6_ADDRESS = 0x2, "IPv6 address", "3.2";
            }
            /// A transport of any protocol
            Transport(Transport, TransportRef<'a>) {
                DCCP_TRANSPORT = 0x3, "DCCP transport", "3.3";
                SCTP_TRANSPORT = 0x4, "SCTP transport", "3.4";
                TCP_TRANSPORT = 0x5, "TCP transport", "3.5";
                UDP_TRANSPORT = 0x6, "UDP transport", "3.6";
                UDP_LITE_TRANSPORT = 0x7, "UDP-Lite transport", "3.7";
                OPAQUE_TRANSPORT = 0x10, "opaque transport", "3.16";
            }
            /// A policy with an element's values
            Policy(Policy, Policy<&'a [u8]>) {
                POLICY = 0x8, "pool member selection policy", "3.8";
            }
            /// The name of a pool
            PoolHandle(PoolHandle, &'a [u8]) {
                POOL_HANDLE = 0x9, "pool handle", "3.9";
            }
            /// A pool element
            PoolElement(PoolElement, PoolElementRef<'a>) {
                POOL_ELEMENT = 0xa, "pool element", "3.10";
            }
            /// A registrar and its transport
            ServerInformation(ServerInformation, ServerInformation) {
                SERVER_INFORMATION = 0xb, "server information", "3.11";
            }
            /// What went wrong
            OperationError(Vec<Cause>, Causes<'a>) {
                OPERATION_ERROR = 0xc, "operation error", "3.12";
            }
            /// State that an element leaves with its users
            Cookie(Bytes, &'a [u8]) {
                COOKIE = 0xd, "cookie", "3.13";
            }
            /// The name of a pool element
            PeIdentifier(PeIdentifier, PeIdentifier) {
                PE_IDENTIFIER = 0xe, "PE identifier", "3.14";
            }
            /// A checksum over the elements that a registrar owns
            PeChecksum(u16, u16) {
                PE_CHECKSUM = 0xf, "PE checksum", "3.15";
            }
            /// How many elements a resolution is to list at most; an extension that real registrars
            /// know
            ElementsWanted(u32, u32) {
                ELEMENTS_WANTED = 0x803f, "elements wanted", "3, private";
            }
        }
    };
}

/// The messages (RFC 5352 §2.2.1 to §2.2.14): number, name and section; the variant of
/// [`Body`](super::Body) and [`BodyRef`](super::BodyRef), the constructor of
/// [`Message`](super::Message), a rule beyond the parts; and the parts.
///
/// A part is the `flag` of the message, or a number of 32 bits in front of the parameters, by its
/// type, or parameters: `one`, an `optional` one, or `many`, of these types.
macro_rules! messages {
    ($to:ident) => {
        $to! {
            /// an element joins a pool.
            REGISTRATION = 0x1, "ASAP_REGISTRATION", "2.2.1":
            Registration, fn registration, where registers {
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The element.
                element: one(POOL_ELEMENT),
            }

            /// an element leaves its pool.
            DEREGISTRATION = 0x2, "ASAP_DEREGISTRATION", "2.2.2":
            Deregistration, fn deregistration {
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The element.
                identifier: one(PE_IDENTIFIER),
            }

            /// whether the element was taken in.
            REGISTRATION_RESPONSE = 0x3, "ASAP_REGISTRATION_RESPONSE", "2.2.3":
            RegistrationResponse, fn registration_response {
                /// The R bit: the element was not taken in.
                rejected: flag,
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The element.
                identifier: one(PE_IDENTIFIER),
                /// Why it was rejected, or what was changed.
                causes: optional(OPERATION_ERROR),
            }

            /// whether the element is gone.
            DEREGISTRATION_RESPONSE = 0x4, "ASAP_DEREGISTRATION_RESPONSE", "2.2.4":
            DeregistrationResponse, fn deregistration_response {
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The element.
                identifier: one(PE_IDENTIFIER),
                /// What went wrong.
                causes: optional(OPERATION_ERROR),
            }

            /// which elements does a pool have?
            HANDLE_RESOLUTION = 0x5, "ASAP_HANDLE_RESOLUTION", "2.2.5":
            HandleResolution, fn handle_resolution {
                /// The S bit: changes of the pool shall be told from here on.
                subscribe: flag,
                /// The pool.
                handle: one(POOL_HANDLE),
                /// How many elements to list at most; `None` leaves it to the registrar.
                wanted: optional(ELEMENTS_WANTED),
            }

            /// these. It is negative if it has causes, be there elements or not; it has elements,
            /// causes or both.
            HANDLE_RESOLUTION_RESPONSE = 0x6, "ASAP_HANDLE_RESOLUTION_RESPONSE", "2.2.6":
            HandleResolutionResponse, where answers {
                /// The A bit: changes of the pool will be told.
                updates: flag,
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The policy of the pool; `None` means Round Robin.
                policy: optional(POLICY as OverallPolicy),
                /// The elements.
                elements: many(POOL_ELEMENT as Elements),
                /// Why there is no answer.
                causes: optional(OPERATION_ERROR),
            }

            /// a registrar asks whether an element lives.
            ENDPOINT_KEEP_ALIVE = 0x7, "ASAP_ENDPOINT_KEEP_ALIVE", "2.2.7":
            EndpointKeepAlive, fn endpoint_keep_alive {
                /// The H bit: the sender wants to be the receiver's home.
                home: flag,
                /// The sender.
                server: ServerIdentifier,
                /// The pool.
                handle: one(POOL_HANDLE),
            }

            /// it does.
            ENDPOINT_KEEP_ALIVE_ACK = 0x8, "ASAP_ENDPOINT_KEEP_ALIVE_ACK", "2.2.8":
            EndpointKeepAliveAck, fn endpoint_keep_alive_ack {
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The element.
                identifier: one(PE_IDENTIFIER),
            }

            /// an element does not answer its users.
            ENDPOINT_UNREACHABLE = 0x9, "ASAP_ENDPOINT_UNREACHABLE", "2.2.9":
            EndpointUnreachable, fn endpoint_unreachable {
                /// The pool.
                handle: one(POOL_HANDLE),
                /// The element.
                identifier: one(PE_IDENTIFIER),
            }

            /// here is a registrar.
            SERVER_ANNOUNCE = 0xa, "ASAP_SERVER_ANNOUNCE", "2.2.10":
            ServerAnnounce, fn server_announce {
                /// The registrar.
                server: ServerIdentifier,
                /// Where it is reached: SCTP and TCP, others have no meaning here. None at all
                /// means where this came from.
                transports: many(SCTP_TRANSPORT | TCP_TRANSPORT as Transports),
            }

            /// an element leaves state with its user.
            COOKIE = 0xb, "ASAP_COOKIE", "2.2.11":
            Cookie, fn cookie {
                /// The state.
                cookie: one(COOKIE),
            }

            /// the user gives the state to another element.
            COOKIE_ECHO = 0xc, "ASAP_COOKIE_ECHO", "2.2.12":
            CookieEcho, fn cookie_echo {
                /// The state.
                cookie: one(COOKIE),
            }

            /// whom to turn to if the sender fails.
            BUSINESS_CARD = 0xd, "ASAP_BUSINESS_CARD", "2.2.13":
            BusinessCard, fn business_card {
                /// The sender's pool.
                handle: one(POOL_HANDLE),
                /// The elements in the order to try them.
                elements: many(POOL_ELEMENT as Elements),
            }

            /// something was not understood.
            ERROR = 0xe, "ASAP_ERROR", "2.2.14":
            Error, fn error {
                /// What it was.
                causes: one(OPERATION_ERROR),
            }
        }
    };
}

/// The policies (RFC 5356 §4, §5): number, name and section; the variant of
/// [`Policy`](super::Policy), and an element's values in their order, each with how it is shown.
macro_rules! policies {
    ($to:ident) => {
        $to! {
            /// Each in turn
            ROUND_ROBIN = 0x1, "Round Robin", "4.1": RoundRobin;

            /// Each in turn, as often as its weight says
            WEIGHTED_ROUND_ROBIN = 0x2, "Weighted Round Robin", "4.2": WeightedRoundRobin {
                /// The element's capacity in relation to the others'; 0 is none.
                weight: number,
            };

            /// Any, with the same probability
            RANDOM = 0x3, "Random", "4.3": Random;

            /// Any, with a probability in proportion to its weight
            WEIGHTED_RANDOM = 0x4, "Weighted Random", "4.4": WeightedRandom {
                /// The element's capacity in relation to the others'; 0 is none.
                weight: number,
            };

            /// The one with the highest priority
            PRIORITY = 0x5, "Priority", "4.5": Priority {
                /// Larger is more important.
                priority: number,
            };

            /// The one with the least load
            LEAST_USED = 0x4000_0001, "Least Used", "5.1": LeastUsed {
                /// How much of the element is in use.
                load: percent,
            };

            /// The one with the least load, where each choice adds to it
            LEAST_USED_DEGRADATION = 0x4000_0002, "Least Used with Degradation", "5.2":
            LeastUsedDegradation {
                /// How much of the element is in use.
                load: percent,
                /// How much more it is by each choice.
                degradation: percent,
            };

            /// The one with the least load after one more choice
            PRIORITY_LEAST_USED = 0x4000_0003, "Priority Least Used", "5.3": PriorityLeastUsed {
                /// How much of the element is in use.
                load: percent,
                /// How much more it is by one choice.
                degradation: percent,
            };

            /// Any, with a probability in proportion to what is free
            RANDOMIZED_LEAST_USED = 0x4000_0004, "Randomized Least Used", "5.4":
            RandomizedLeastUsed {
                /// How much of the element is in use.
                load: percent,
            };
        }
    };
}

pub(super) use {messages, parameters, policies};
