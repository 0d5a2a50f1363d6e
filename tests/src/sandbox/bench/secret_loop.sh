# The loop that `kubectl hybrid regcred sync` replaces. Wants NAMESPACES, SECRET, REGISTRY, PASSWORD.
set -eu
for namespace in $NAMESPACES; do
    kubectl --namespace "$namespace" create secret docker-registry "$SECRET" \
        --docker-server="$REGISTRY" --docker-username=AWS --docker-password="$PASSWORD" \
        --dry-run=client -o yaml | kubectl apply -f -
done
