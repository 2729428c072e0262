"""What lines say would be right."""

WHOLE = "must be a whole number"
TEXT = "must be a text, not empty"
TYPES = "must be one of PluginRule, TaxonomyRule"
STAGE = f"{WHOLE} from 1 to 255"
SIDS = "must be a list of whole numbers from 1 up"
TEXTS = "must be a list of texts, not empty"
CIDR = "must be a CIDR or IP, such as 10.0.0.0/8 or 2001:db8::1"
ADDRESS = "must be ANY, HOME_NET, !HOME_NET (in capitals), a list of IPs or CIDRs, or :stage"
SOME_ADDRESS = "must be ANY, HOME_NET, !HOME_NET, a list of IPs, or :stage"
REFERENCE = "a reference must be : and a stage from 1 to 99, as :1, :1.to or !:1, alone"
FIELDS = ".from, .to, .port_from, .port_to, .protocol, .custom_data1, .custom_data2, .custom_data3"
PORT = "must be a port from 1 to 65535"
STICKY = (
    'must be one of "", PLUGIN_SID, SRC_IP, DST_IP, SRC_PORT, DST_PORT, '
    "CUSTOM_DATA1, CUSTOM_DATA2, CUSTOM_DATA3, or a list of them"
)
ONE_STICKY = (
    "must be one of PLUGIN_SID, SRC_IP, DST_IP, SRC_PORT, DST_PORT, "
    "CUSTOM_DATA1, CUSTOM_DATA2, CUSTOM_DATA3"
)
ONE_BY = (
    "src_ip, dst_ip, src_port, dst_port, plugin_sid, protocol, "
    "custom_data1, custom_data2, custom_data3"
)
SOURCE = "must be a JSON object as a text, with a url that begins with http:// or https://"
FIRST = "must be 1 for stage 1: its event opens the backlog"
UNIQUE = "must be unique over all files"
EARLIER = "must be :1"
NOTHING_EARLIER = "stage 1 has no earlier stage to refer to"
LEFT_OUT = "the directive is left out"
