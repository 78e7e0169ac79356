from local.standins.kubernetes.provider import KubernetesPlugin
from local.standins.servicer import serve

serve(KubernetesPlugin)
