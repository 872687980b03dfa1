# The blobs are not in the repository: it has their list, and a vault has their bytes.
inventory_path={{ vault.inventory.path }}
links={{ vault.links.snapshot }}
links_tree={{ vault.links.tree }}
links_path={{ vault.links.path }}
vault_where={{ vault.place.where }}
vault_bucket={{ vault.place.bucket }}
vault_prefix={{ vault.place.prefix }}
vault_endpoint={{ vault.place.endpoint or "" }}
vault_region={{ vault.place.region or "" }}
# The vault as it stood then has what this point needs, whatever was deleted or written over since.
vault_moment={{ vault.moment }}
tree=docker/registry/v2/blobs

look_at_vault() {
  if [ -n "${VAULT:-}" ]; then
    need tar
    vault=${VAULT%/}
    [ -d "$vault/$tree" ] || vault=$vault/$vault_prefix
    [ -d "$vault/$tree" ] || die "there is no $tree in $VAULT: VAULT is a directory with a copy of the vault"
    return 0
  fi
  need rclone
  if [ -n "$vault_endpoint" ]; then
    export RCLONE_S3_PROVIDER="${RCLONE_S3_PROVIDER:-Other}" RCLONE_S3_ENDPOINT="${RCLONE_S3_ENDPOINT:-$vault_endpoint}"
  else
    export RCLONE_S3_PROVIDER="${RCLONE_S3_PROVIDER:-AWS}"
  fi
  [ -z "$vault_region" ] || export RCLONE_S3_REGION="${RCLONE_S3_REGION:-$vault_region}"
  vault=:s3:${VAULT_BUCKET:-$vault_bucket}${vault_prefix:+/$vault_prefix}
  rclone -q lsf --retries 1 --low-level-retries 2 "$vault/$tree/" >/dev/null ||
    die "cannot read the vault $vault_where: see RCLONE_S3_ACCESS_KEY_ID and RCLONE_S3_SECRET_ACCESS_KEY, or VAULT"
}

# bring LIST: the blobs of a list of paths, from the vault to $blobs_there; how that went is looked at afterwards.
bring() {
  if [ -n "${VAULT:-}" ]; then
    (cd "$vault/$tree" && tar -cf - -T "$1") | tar -xf - -C "$blobs_there" || :
  else
    rclone -q copy --files-from-raw "$1" --size-only --transfers 32 --checkers 64 \
      "$vault/$tree" "$blobs_there" || :
  fi
}

# What does not hash to its name goes; what is missing then is listed in $scratch/missing.
weed() {
  say "hashes every blob"
  (cd "$blobs_there" && find . -type f -name data -exec sha256sum {} +) |
    awk '$2 != "./sha256/" substr($1, 1, 2) "/" $1 "/data" { print $2 }' >"$scratch/damaged"
  while read -r path; do
    warn "damaged: $path"
    rm -f -- "$blobs_there/$path"
  done <"$scratch/damaged"
  while read -r path; do
    [ -f "$blobs_there/$path" ] || say "$path"
  done <"$scratch/wanted" >"$scratch/missing"
}

# fill_from_vault ROOT: blobs and links below the registry's root directory.
fill_from_vault() {
  blobs_there=$1/$tree
  mkdir -p "$blobs_there"
  sed -n 's/.*"digest": "sha256:\(..\)\([0-9a-f]\{62\}\)".*/sha256\/\1\/\1\2\/data/p' "$seal$inventory_path" >"$scratch/wanted"
  [ "$(wc -l <"$scratch/wanted")" -eq "$(sed -n '/./p' "$seal$inventory_path" | wc -l)" ] ||
    die 'the inventory of the vault cannot be read: use another point'
  say "copies $(($(wc -l <"$scratch/wanted"))) blobs from ${VAULT:-$vault_where}"
  bring "$scratch/wanted"
  weed
  if [ -s "$scratch/missing" ] && [ -z "${VAULT:-}" ]; then
    warn "$(($(wc -l <"$scratch/missing"))) blobs are gone from the vault or wrong: tries their versions of $vault_moment"
    RCLONE_S3_VERSION_AT=$vault_moment
    export RCLONE_S3_VERSION_AT
    bring "$scratch/missing"
    unset RCLONE_S3_VERSION_AT
    weed
  fi
  say "$(($(wc -l <"$scratch/wanted") - $(wc -l <"$scratch/missing"))) blobs, each hashes to its name"
  say "restores the links"
  restic dump "$links" "$links_path" >"$scratch/links.tar"
  tar -xpf "$scratch/links.tar" -C "$1"
  rm -f "$scratch/links.tar" "$scratch/wanted" "$scratch/damaged"
}

