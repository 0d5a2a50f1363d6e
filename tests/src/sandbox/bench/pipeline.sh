# The shell pipeline that `kubectl hybrid deploy` replaces: outputs, login, secret, build, push,
# roll-out. It asks for one password and uses it twice. Wants TERRAFORM_DIR, EXAMPLE_DIR, REGION.
set -eu
contract=$(terraform -chdir="$TERRAFORM_DIR" output -json hybrid)
field() { printf '%s' "$contract" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
repository() { printf '%s' "$contract" | sed -n "s/.*\"$1\":{[^}]*\"repository_url\":\"\([^\"]*\)\".*/\1/p"; }
registry=$(field registry)
namespace=$(field namespace)
secret=$(field pull_secret)
test -n "$registry" && test -n "$namespace" && test -n "$secret"

password=$(aws ecr get-login-password --region "$REGION")
printf '%s' "$password" | docker login --username AWS --password-stdin "$registry"
kubectl --namespace "$namespace" create secret docker-registry "$secret" \
    --docker-server="$registry" --docker-username=AWS --docker-password="$password" \
    --dry-run=client -o yaml | kubectl apply -f -

for service in web api search; do
    image=$(repository "$service"):latest
    docker build --tag "$image" "$EXAMPLE_DIR/$service"
    docker push "$image"
done
for service in web api search; do
    kubectl --namespace "$namespace" rollout restart "deployment/$service"
done
for service in web api search; do
    kubectl --namespace "$namespace" rollout status --timeout=120s "deployment/$service"
done
