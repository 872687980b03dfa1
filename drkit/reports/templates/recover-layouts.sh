# Each repository is an OCI image layout. Of a snapshot only files and directories come back, and nothing that could run.
clean_tree() {
  (
    cd "$1"
    find . ! -type d ! -type f -print -exec rm -f -- {} \;
    find . -type d \( -perm -4000 -o -perm -2000 -o -perm -1000 -o -perm -2 \) -exec chmod u-s,g-s,-t,o-w {} +
    find . -type f \( -perm -4000 -o -perm -2000 -o -perm -1000 -o -perm -100 -o -perm -10 -o -perm -1 -o -perm -2 \) \
      -exec chmod u-s,g-s,-t,a-x,o-w {} +
  ) >"$scratch/strange"
  lack "$scratch/strange" 'files are no part of a registry, and were left out'
}

# restic's exit code alone proves nothing: every byte is hashed. A registry would serve a wrong blob as a right one.
hash_blobs() {
  say "hashes every blob"
  : >"$scratch/damaged"
  for algorithm in sha256 sha512; do
    (cd "$1" && find . -type f -path "*/blobs/$algorithm/*" -exec "${algorithm}sum" {} +) |
      awk '{ n = split($2, part, "/"); if (part[n] != $1) print $2 }' >>"$scratch/damaged"
  done
  files=$(cd "$1" && find . -type f -path '*/blobs/*' | wc -l)
  while IFS= read -r path; do
    rm -f -- "$1/$path"
  done <"$scratch/damaged"
  lack "$scratch/damaged" 'blobs do not hash to their name, and were left out'
  say "$((files - $(wc -l <"$scratch/damaged"))) blobs, each hashes to its name"
}
{% if digests %}

check_digests() {
  sed -n 's/.*"digest": "\([a-z0-9]*\):\([0-9a-f]*\)".*/\1:\2/p' "$seal$digests_path" >"$scratch/referred"
  [ "$(($(wc -l <"$scratch/referred")))" -eq "$digests_count" ] ||
    die "$(($(wc -l <"$scratch/referred"))) of $digests_count digests could be read: use another point"
  (cd "$1" && find . -type f -path '*/blobs/*') |
    awk -F / -v listed="$scratch/referred" '
      { there[$(NF - 1) ":" $NF] }
      END { while ((getline line <listed) > 0) if (!(line in there)) print line }' >"$scratch/missing"
  if [ -s "$scratch/missing" ]; then
    lack "$scratch/missing" "blobs that images need are missing ($digests_missing were when the point was taken)"
  else
    say "all $digests_count blobs that are referred to are there"
  fi
}
{% endif %}
