from local.standins.servicer import serve
from local.standins.tls.provider import TlsPlugin

serve(TlsPlugin)
