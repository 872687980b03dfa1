#!/bin/sh
# Brings one recovery point back without drkit: with restic, age, tar, pg_restore, psql{{ ", rclone" if vault else "" }}, and what every
# Unix has (sh, awk, chmod, sed, find, sort, readlink, sha256sum). Nothing secret stands in this file.
#
#   RESTIC_REPOSITORY=... RESTIC_PASSWORD_FILE=... sh recover.sh --identity FILE
#
# It shows what it will do and asks before it writes; `sh recover.sh --help` tells the options.
set -eu
umask 077
LC_ALL=C
# GNU tar's own: names as they are, and directories that exist as they are.
TAR_OPTIONS='--quoting-style=literal --no-overwrite-dir'
export LC_ALL TAR_OPTIONS

point={{ manifest.id }}
site={{ manifest.site }}
consistent_at={{ manifest.consistent_at.isoformat() }}

say() { printf '%s\n' "$*"; }
warn() { printf 'recover: warning: %s\n' "$*" >&2; }
die() { printf 'recover: error: %s\n' "$*" >&2; exit 1; }

usage() {
  cat <<'END_OF_USAGE'
usage: sh recover.sh [--root DIR] [--identity FILE] [--only database|blobs|secrets] [--work DIR] [--list] [--yes]

  --root DIR        put files below DIR, and not where they were
  --identity FILE   the age identity that opens the secrets
  --only PART       one part alone
  --work DIR        room for a database dump meanwhile (default: $TMPDIR, else /tmp)
  --list            show what would be done, and do nothing
  --yes             do not ask

The repository is named by restic's own RESTIC_REPOSITORY and RESTIC_PASSWORD_FILE, the database server by
PGHOST, PGPORT, PGUSER and PGPASSFILE (the server itself, no connection pooler). Its user must be allowed to make
databases and roles; or an empty database of the same name is there, which is filled as it is.
{% if vault %}

The image blobs are in a vault: RCLONE_S3_ACCESS_KEY_ID and RCLONE_S3_SECRET_ACCESS_KEY open it, or VAULT=DIR names a
directory with a copy of it. RCLONE_S3_ENDPOINT, RCLONE_S3_REGION and VAULT_BUCKET take the place of what was recorded.
{% endif %}
END_OF_USAGE
}

root='' identity='' only='' list='' yes='' work=${TMPDIR:-/tmp}
while [ $# -gt 0 ]; do
  case $1 in
    --root | --identity | --only | --work) [ $# -ge 2 ] || die "$1 needs a value" ;;
  esac
  case $1 in
    --root) root=${2%/}; shift ;;
    --identity) identity=$2; shift ;;
    --only) only=$2; shift ;;
    --work) work=$2; shift ;;
    --list) list=yes ;;
    --yes) yes=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown option $1" ;;
  esac
  shift
done
case $root in
  '' | /*) ;;
  *) root=$PWD/$root ;;
esac
case $only in
  '' | database | blobs | secrets) ;;
  *) die "--only takes database, blobs or secrets, not $only" ;;
esac

wants() { [ -z "$only" ] || [ "$only" = "$1" ]; }
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is not installed"; }

# find_part ID TREE: the id that a snapshot has in this repository. If it was copied here, restic has given it
# another one and kept the first as its "original"; TREE, the hash of everything in it, is the same.
find_part() {
  found=$(awk -v first="$1" -v tree="$2" '
    {
      count = split($0, each, "\"short_id\":")
      for (place = 1; place < count; place++) {
        if (!match(each[place], /"id":"[0-9a-f]+",$/)) continue
        id = substr(each[place], RSTART + 6, RLENGTH - 8)
        if (id == first) here = id
        else if (index(each[place], "\"original\":\"" first "\"") && index(each[place], "\"tree\":\"" tree "\"")) copy = id
      }
    }
    END { print here ? here : copy }' "$scratch/snapshots")
  [ -n "$found" ] || die "the snapshot $1 is not in this repository, nor a copy of it: use another point"
  say "$found"
}

scratch='' seal='' began='' index='' incomplete=''
cleanup() {
  [ -z "$index" ] || rm -f -- "$index"
  [ -z "$scratch" ] || rm -rf -- "$scratch"
  [ "$1" -eq 0 ] || [ -z "$began" ] ||
    printf 'recover: not everything is back; run it again, with --only for the parts that are not\n' >&2
}
trap 'cleanup $?' EXIT
trap 'exit 130' HUP INT TERM
{% if databases %}

# The databases: one function for each says what it is.
{% for database in databases %}

# shellcheck disable=SC2016  # SQL has dollars of its own
database_{{ loop.index }}() {
  db_name={{ database.name }}
  db_major={{ database.major }}
  db_tables={{ database.tables }}
  db_rows={{ database.rows }}
  db_counted={{ database.counted }}
  db_tablespaces={{ database.tablespaces }}
  db_dump={{ database.dump.snapshot }}
  db_dump_tree={{ database.dump.tree }}
  db_dump_path={{ database.dump.path }}
  db_roles=$seal{{ database.roles.path }}
  # Restored under this name, compared, and only then given its own.
  db_beside={{ database.beside_conninfo }}
  db_conninfo={{ database.conninfo }}
  db_exists={{ database.exists }}
  db_objects={{ database.objects }}
  db_lacking={{ database.lacking }}
  db_lacking_in_place={{ database.lacking_in_place }}
  db_loader={{ database.loader }}
  db_owns_all={{ database.owns_all }}
  db_give={{ database.give }}
  db_clear={{ database.clear }}
  db_create={{ database.create }}
  db_rights={{ database.rights }}
  db_rights_in_place={{ database.rights_in_place }}
  db_compare={{ database.compare }}
  db_rename={{ database.rename }}
}
{% endfor %}

server=postgres
export PGOPTIONS="${PGOPTIONS:-} -c default_transaction_read_only=off"
ask_server() { PGDATABASE=$server psql -X -q -A -t -w -v ON_ERROR_STOP=1 "$@"; }
# Its first argument is a database's connection string.
ask_database() {
  ask_where=$1
  shift
  psql -X -q -A -t -w -v ON_ERROR_STOP=1 -d "$ask_where" "$@"
}
# Whether an empty database is there, which is filled as it is.
in_place() { [ -n "$(say "$db_exists" | ask_server)" ]; }

look_at_server() {
  need psql
  need pg_restore
  if ! say 'SELECT 1;' | ask_server >/dev/null 2>&1; then
    server=template1
    say 'SELECT 1;' | ask_server >/dev/null ||
      die 'cannot log in to the database server: see PGHOST, PGPORT, PGUSER and PGPASSFILE'
  fi
}

look_at_database() {
  db_dump=$(find_part "$db_dump" "$db_dump_tree")
  have=$(say 'SHOW server_version_num;' | ask_server)
  [ $((have / 10000)) -ge "$db_major" ] ||
    die "the server is PostgreSQL $((have / 10000)), the dump is of $db_major: use one at least as new"
  # An older one cannot read the dump, a newer one sets parameters that the server has not heard of.
  program=$(pg_restore --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
  { [ "$program" -ge "$db_major" ] && [ "$program" -le $((have / 10000)) ]; } ||
    die "pg_restore is of PostgreSQL $program: it takes one of $db_major to $((have / 10000))"
  if in_place; then
    [ "$(say "$db_objects" | ask_database "$db_conninfo")" -eq 0 ] ||
      die "there is a database $db_name already: rename it (ALTER DATABASE ... RENAME TO ...) or drop it first"
    lacking=$(say "$db_lacking_in_place" | ask_server -F ': ')
  else
    lacking=$(say "$db_lacking" | ask_server -F ': ')
  fi
  [ -z "$lacking" ] || {
    say "$lacking" >&2
    die "the server cannot take $db_name (above: why, and what helps); it can fill an empty database that is there"
  }
  say "  database $db_name, PostgreSQL $db_major, $db_tables tables, $db_rows rows"
  if in_place; then say "  into the empty database that is there"; fi
}

# Roles that exist are left as they are: a role may be the one that this script is logged in as.
write_role_filter() {
  cat >"$scratch/roles.awk" <<'END_OF_AWK'
# The output of pg_dumpall --roles-only, as statements for psql that touch only roles which are missing.
# An identifier at the beginning of `text`, without its quotes; `rest` is what follows it.
function name_in(text,   place, found) {
  if (substr(text, 1, 1) != "\"") {
    place = match(text, /[ ;]/)
    rest = substr(text, place)
    return substr(text, 1, place - 1)
  }
  found = ""
  for (place = 2; place <= length(text); place++) {
    if (substr(text, place, 1) == "\"") {
      if (substr(text, place + 1, 1) != "\"") break
      place++
    }
    found = found substr(text, place, 1)
  }
  rest = substr(text, place + 1)
  return found
}
function number_of(role) {
  if (!(role in numbers)) { numbers[role] = ++roles; names[roles] = role }
  return numbers[role]
}
function keep(number, sql) { kept[++statements] = sql; of[statements] = number }
function take(sql,   role) {
  if (sql ~ /^SET /) { keep(0, sql); return }
  if (sql ~ /^(CREATE|ALTER) ROLE /) {
    role = name_in(substr(sql, index(sql, " ROLE ") + 6))
    # What a role has set for one database comes back with that database.
    if (rest ~ /^ IN DATABASE /) return
    if (rest ~ /^ WITH / && rest ~ /^[A-Z ]* (SUPERUSER|CREATEROLE) /) {
      keep(number_of(role), "\\warn recover: warning: a role that is made does not get back SUPERUSER or CREATEROLE")
      head = substr(sql, 1, length(sql) - length(rest))
      sub(/ SUPERUSER /, " NOSUPERUSER ", rest)
      sub(/ CREATEROLE /, " NOCREATEROLE ", rest)
      sql = head rest
    }
    if (rest ~ /^;$/ || rest ~ /^ WITH / || rest ~ /^ SET /) keep(number_of(role), sql)
    return
  }
  if (sql ~ /^COMMENT ON ROLE /) { keep(number_of(name_in(substr(sql, 17))), sql); return }
  if (sql ~ /^GRANT /) {
    role = name_in(substr(sql, 7))
    if (rest !~ /^ TO /) return
    if (role ~ /^pg_(execute_server_program|read_server_files|write_server_files)$/) {
      said = "\\warn recover: warning: a role that is made does not get back its membership in " role
      keep(number_of(name_in(substr(rest, 5))), said)
      return
    }
    role = name_in(substr(rest, 5))
    # Who granted it may not have the right to on another server.
    if (match(rest, / GRANTED BY /)) sql = substr(sql, 1, length(sql) - length(rest) + RSTART - 1) ";"
    keep(number_of(role), sql)
  }
}
BEGIN { quote = sprintf("%c", 39); open = ""; sql = "" }
sql == "" && /^([ \t]*$|--|\\)/ { next }
{
  for (place = 1; place <= length($0); place++) {
    letter = substr($0, place, 1)
    if (open == "") {
      if (letter == quote || letter == "\"") open = letter
      else if (letter == "\\") { print "a backslash outside quotes" >"/dev/stderr"; exit 1 }
    } else if (letter == open) open = ""
  }
  sql = sql (sql == "" ? "" : "\n") $0
  if (open == "" && $0 ~ /;[ \t]*$/) { take(sql); sql = "" }
}
END {
  for (number = 1; number <= roles; number++) {
    role = names[number]
    gsub(quote, quote quote, role)
    print "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = " quote role quote ") AS make_" number " \\gset"
  }
  for (number = 1; number <= statements; number++)
    if (of[number]) print "\\if :make_" of[number] "\n" kept[number] "\n\\endif"
    else print kept[number]
}
END_OF_AWK
}

# The first error that pg_restore told, with the server's DETAIL and HINT: what it says last is no reason.
server_reason() {
  awk '!more && /^pg_restore: error: / && !/a worker process died/ { print; more = 4; next }
    more && /^[A-Z]+:  / { print }
    more && --more == 1 { exit }'
}

restore_database() {
  say "restores the roles of $db_name"
  filled=
  if in_place; then filled=yes; fi
  may_make=$(say 'SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user;' | ask_server)
  if [ "$may_make" = t ]; then
    write_role_filter
    awk -f "$scratch/roles.awk" "$db_roles" >"$scratch/missing.sql"
    ask_server --single-transaction -f "$scratch/missing.sql" >/dev/null
    rm -f "$scratch/missing.sql"
  else
    warn "this user may not make roles: those that are missing stay so"
  fi

  say "fetches the dump of $db_name"
  db_dump=$(find_part "$db_dump" "$db_dump_tree")
  restic dump "$db_dump" "$db_dump_path" >"$scratch/dump"
  say "restores the database $db_name"
  set --
  if [ -z "$filled" ]; then
    say "SET client_min_messages = warning; $db_clear" | ask_server
    say "$db_create" | ask_server
    set -- --jobs="$(nproc 2>/dev/null || echo 2)"
  else
    db_beside=$db_conninfo
    set -- --single-transaction
    if [ "$(say "$db_owns_all" | ask_server)" != t ]; then
      warn "everything in $db_name will belong to this user, and privileges of other roles do not come back"
      set -- "$@" --no-owner --no-privileges
    fi
  fi
  # The SQL of the dump is run by the owner, and by no superuser, where it can be.
  loader=$(say "$db_loader" | ask_server)
  if [ -n "$loader" ]; then
    set -- "$@" --role="$loader"
    [ -z "$filled" ] || say "$db_give" | ask_server
  fi
  if [ -n "$db_tablespaces" ] && [ -n "$(say "$db_tablespaces" | ask_server)" ]; then
    warn "this server lacks a tablespace that $db_name had: everything goes into the database's own"
    set -- "$@" --no-tablespaces
  fi
  pg_restore --exit-on-error --no-password "$@" \
    -d "$db_beside" "$scratch/dump" 2>"$scratch/said" || {
    cat "$scratch/said" >&2
    die "the dump of $db_name cannot be loaded: $(server_reason <"$scratch/said")"
  }
  rm -f "$scratch/dump"
  case $filled,$* in
    yes,*--no-owner*) ;;
    yes,*) say "$db_rights_in_place" | ask_database "$db_conninfo" >/dev/null ;;
    *) say "$db_rights" | ask_server >/dev/null ;;
  esac

  say "compares $db_name with what was recorded"
  say "$db_compare" | ask_database "$db_beside" >"$scratch/differences"
  if [ -s "$scratch/differences" ]; then
    cat "$scratch/differences" >&2
    die "the restored database is not what was dumped; it is left as it is, beside its name: use another point"
  fi
  say 'ANALYZE;' | ask_database "$db_beside"
  [ -n "$filled" ] || say "$db_rename" | ask_server
  identical='content identical'
  [ "$db_counted" -eq 0 ] || identical="content identical but for $db_counted tables that were only counted"
  say "database $db_name is back: $db_tables tables, $db_rows rows, $identical"
}
{% endif %}
{% if blobs %}

{% if vault %}
{% include "recover-vault.sh" %}
{% else %}
blobs={{ blobs.snapshot }}
blobs_tree={{ blobs.tree }}
blobs_folder={{ blobs.folder }}
{% endif %}
blobs_name={{ blobs.name }}
blobs_target=$root{{ blobs.target }}
{% if digests %}
digests_path={{ digests.path }}
digests_count={{ manifest.digest_count }}
digests_missing={{ (manifest.closure.missing if manifest.closure else 0) + (lost.count if lost else 0) }}
{% endif %}

look_at_blobs() {
  need find
{% if vault %}
  links=$(find_part "$links" "$links_tree")
{% else %}
  blobs=$(find_part "$blobs" "$blobs_tree")
{% endif %}
  if [ -L "$blobs_target" ] || { [ -e "$blobs_target" ] && [ ! -d "$blobs_target" ]; }; then
    die "$blobs_target is there and is no directory"
  fi
  if [ -d "$blobs_target" ]; then
    # What an interrupted run of this script left is gone on with.
    there=$(cd "$blobs_target" && find . ! -name . -prune ! -name lost+found ! -name '.drkit-recovering-*' ! -name 'docker.before-*')
    [ -z "$there" ] || die "$blobs_target is not empty: move away what is there, or use --root DIR"
  fi
{% if vault %}
  look_at_vault
  say "  image blobs from ${VAULT:-$vault_where} to $blobs_target"
{% else %}
  say "  image blobs to $blobs_target"
{% endif %}
}

restore_blobs() {
  parent=${blobs_target%/*}
  (umask 022 && mkdir -p "$parent/")
  lacking=
  staging=$parent/.drkit-recovering-$point
  mounted=
  if [ -d "$blobs_target" ] && ! rmdir "$blobs_target" 2>/dev/null; then
{% if blobs.layouts %}
    die "$blobs_target is a mount point: use --root DIR on that file system, then move what is in that directory"
{% else %}
    # A mount point, or what an earlier run left in one: it stays, and is filled from within.
    mounted=yes staging=$blobs_target/.drkit-recovering-$point
{% endif %}
  fi
  say "restores the image blobs"
{% if vault %}
  (
    umask 022
    mkdir -p "$staging/$blobs_name"
    fill_from_vault "$staging/$blobs_name"
  )
  lack "$scratch/missing" 'blobs cannot be fetched from the vault'
{% else %}
  [ ! -L "$staging" ] || die "$staging is a link: remove it"
  mkdir -p "$staging"
  restic restore "$blobs:$blobs_folder" --target "$staging"
{% endif %}
  clean_tree "$staging/$blobs_name"
{% if not vault %}
  hash_blobs "$staging/$blobs_name"
{% endif %}
{% if digests %}
  check_digests "$staging/$blobs_name"
{% endif %}
  if [ -n "$mounted" ]; then
    # By one renaming, so that an interrupted run has moved everything or nothing.
    mv "$staging/$blobs_name/docker" "$blobs_target/docker"
    rmdir "$staging/$blobs_name"
    warn "$blobs_target keeps the owner and mode that it has"
  else
    mv "$staging/$blobs_name" "$blobs_target"
  fi
  rmdir "$staging"
{% if vault %}
  warn "the registry's user must own $blobs_target (Harbor's: chown -R 10000:10000)"
{% endif %}
  if [ -n "$lacking" ]; then
    warn "image blobs are back in $blobs_target, but for those that are named above"
    incomplete=yes
  else
    say "image blobs are back in $blobs_target"
  fi
}

# lack FILE WHAT [UNNAMED]: names what did not come back, the first twenty; everything else does.
lack() {
  [ -s "$1" ] || return 0
  lacking=yes
  warn "$(($(wc -l <"$1") + ${3:-0})) $2:"
  sed -n '1,20s/^/recover:   /p' "$1" >&2
}

{% if blobs.layouts %}
{% include "recover-layouts.sh" %}
{% else %}
# Of a snapshot only the files and directories of a registry's tree come back, and nothing that could run.
clean_tree() {
  (
    cd "$1"
    find . ! -type d ! -type f -print -exec rm -f -- {} \;
    find . ! -name . -prune ! -name docker -print -exec rm -rf -- {} \;
    find . -type d \( -perm -4000 -o -perm -2000 -o -perm -1000 -o -perm -2 \) -exec chmod u-s,g-s,-t,o-w {} +
    find . -type f \( -perm -4000 -o -perm -2000 -o -perm -1000 -o -perm -100 -o -perm -10 -o -perm -1 -o -perm -2 \) \
      -exec chmod u-s,g-s,-t,a-x,o-w {} +
  ) >"$scratch/strange"
  lack "$scratch/strange" 'files are no part of a registry, and were left out'
  (cd "$1" && find . -path '*/_*' -type f -name link ! -size 71c ! -size 135c -print -exec rm -f -- {} \;) >"$scratch/cut"
  lack "$scratch/cut" 'links are empty or truncated, and were left out'
}
{% if not vault %}

# restic's exit code alone proves nothing: every byte is hashed. A registry would serve a wrong blob as a right one.
hash_blobs() {
  say "hashes every blob"
  files=0
  : >"$scratch/damaged"
  if [ -d "$1/docker/registry/v2/blobs/sha256" ]; then
    files=$(cd "$1/docker/registry/v2/blobs/sha256" && find . -type f -name data | wc -l)
    (cd "$1/docker/registry/v2/blobs/sha256" && find . -type f -name data -exec sha256sum {} +) |
      awk '$2 != "./" substr($1, 1, 2) "/" $1 "/data" { print $2 }' >"$scratch/damaged"
    while IFS= read -r path; do
      rm -f -- "$1/docker/registry/v2/blobs/sha256/$path"
    done <"$scratch/damaged"
  fi
  lack "$scratch/damaged" 'blobs do not hash to their name, and were left out'
  say "$((files - $(wc -l <"$scratch/damaged"))) blobs, each hashes to its name"
}
{% endif %}
{% if digests %}

check_digests() {
  sed -n 's/.*"digest": "sha256:\([0-9a-f]\{64\}\)".*/\1/p' "$seal$digests_path" >"$scratch/referred"
  [ "$(($(wc -l <"$scratch/referred")))" -eq "$digests_count" ] ||
    die "$(($(wc -l <"$scratch/referred"))) of $digests_count digests could be read: use another point"
  : >"$scratch/elsewhere"
{% if dangling %}
  # Layers that are fetched from elsewhere, and were not here either when the point was taken.
  sed -n 's/.*"kind": "layer".*"digest": "sha256:\([0-9a-f]\{64\}\)".*/\1/p' "$seal"{{ dangling.path }} \
    >"$scratch/elsewhere"
{% endif %}
  while read -r digest; do
    first=${digest%"${digest#??}"}
    [ -f "$1/docker/registry/v2/blobs/sha256/$first/$digest/data" ] || say "sha256:$digest"
  done <"$scratch/referred" | awk -v listed="$scratch/elsewhere" '
    BEGIN { while ((getline line <listed) > 0) elsewhere["sha256:" line] }
    !($1 in elsewhere)' >"$scratch/missing"
  unnamed=0
{% if lost %}
  # On no list, and not in production either when the point was taken: manifests need them all the same.
  say {{ lost.names }} >>"$scratch/missing"
  unnamed={{ lost.count - lost.names.count("\n") - 1 }}
{% endif %}
  if [ -s "$scratch/missing" ]; then
    lack "$scratch/missing" "blobs that images need are missing ($digests_missing were when the point was taken)" \
      "$unnamed"
  else
    say "all $digests_count blobs that are referred to are there"
  fi
}
{% endif %}
{% endif %}
{% endif %}
{% if secrets %}

secrets_path={{ secrets.path }}
secrets_count={{ manifest.secret_files | length }}

# Calls "$1" with the path of each file, and with what the bundle's index has in front of its hash.
each_secret() {
{% for file in manifest.secret_files %}
  "$1" {{ file.path }} {{ file.path | json }}
{% endfor %}
}

name_secret() { say "$1"; }

# A line as the index has it.
hash_secret() { say "$2: \"$(sha256sum <"$root$1" | sed 's/ .*//')\""; }

# What an interrupted run of this script left is as it should be; nothing else may be there.
refuse_secret() {
  if [ -e "$root$1" ] || [ -L "$root$1" ]; then
    if [ ! -L "$root$1" ] && [ -f "$root$1" ]; then
      case "
$wanted
" in *"
$(hash_secret "$1" "$2")
"*) return 0 ;;
      esac
    fi
    die "$root$1 is there already: move it away first, or use --root DIR"
  fi
}

refuse_others() {
  # The index comes with the rest, and goes again.
  if [ -e "$root/drkit-bundle.json" ] || [ -L "$root/drkit-bundle.json" ]; then
    { [ -f "$root/drkit-bundle.json" ] && [ "$(show_index | sha256sum)" = "$(sha256sum <"$root/drkit-bundle.json")" ]; } ||
      die "$root/drkit-bundle.json is there already: move it away first, or use --root DIR"
  fi
  while IFS= read -r kind && IFS= read -r path && IFS= read -r link; do
    [ -e "$root/$path" ] || [ -L "$root/$path" ] || continue
    case $kind in
      d) [ ! -d "$root/$path" ] || continue ;;
      l) [ ! -L "$root/$path" ] || [ "$(readlink "$root/$path")" != "$link" ] || continue ;;
    esac
    die "$root/$path is there already: move it away first, or use --root DIR"
  done <"$scratch/others"
}

# The bundle in the clear goes through a pipe, and is never a file.
show_index() { open_bundle | tar -xOf - drkit-bundle.json; }
open_bundle() { age -d -i "$identity" "$seal$secrets_path" || : >"$scratch/refused"; }

# Before anything is written, tar says what it would write: only files, directories and links, nothing twice,
# nothing that leaves or stands below a link, and of files those of this point.
look_at_members() {
  each_secret name_secret >"$scratch/expected"
  open_bundle | tar -tf - >"$scratch/names" || die 'the secrets bundle is no tar: use another point'
  open_bundle | tar -tvf - >"$scratch/kinds"
  : >"$scratch/others"
  cat >"$scratch/members.awk" <<'END_OF_AWK'
function refuse(why) { if (!refused) print why; refused = 1 }
# Where a link leads, by its words, without the first slash.
function target_of(name, link,   parts, place, count, deep, path) {
  if (link ~ /^\//) name = ""
  else if (!sub(/\/[^\/]*$/, "", name)) name = ""
  count = split(name "/" link, parts, "/")
  deep = 0
  for (place = 1; place <= count; place++) {
    if (parts[place] == "" || parts[place] == ".") continue
    if (parts[place] == "..") { if (deep) deep--; continue }
    path[++deep] = parts[place]
  }
  link = ""
  for (place = 1; place <= deep; place++) link = link (place > 1 ? "/" : "") path[place]
  return link
}
part == 1 { expected[substr($0, 2)]; left++; next }
part == 2 { names[++listed] = $0; next }
{
  name = names[++lines]
  kind = substr($0, 1, 1)
  if (kind == "l") {
    place = index($0, " " name " -> ")
    if (place) links[name] = substr($0, place + length(name) + 5)
  } else place = substr($0, length($0) - length(name)) == " " name
  if (!place || kind !~ /^[-dl]$/) refuse(name " is neither file, directory nor symbolic link")
  if (kind == "d") sub(/\/$/, "", name)
  if (("/" name "/") ~ /\/(\.|\.\.)?\//) refuse(name " leaves its root")
  if (name in kinds) refuse(name " appears twice")
  kinds[name] = kind
  if ($1 ~ /[sStT]/) refuse(name " would run as somebody else, or is of another odd kind")
  if (name == "drkit-bundle.json") {
    if (kind != "-") refuse(name " is not a file")
    next
  }
  if ((kind == "-") != (name in expected)) refuse(name " is not what this point lists")
  if (kind == "-") left--
  else print kind "\n" name "\n" (kind == "l" ? links[name] : "") >others
}
END {
  if (lines != listed) refuse("its list cannot be read")
  for (name in kinds) {
    parent = name
    while (sub(/\/[^\/]*$/, "", parent))
      if (parent in kinds && kinds[parent] != "d") refuse(name " stands below " parent)
  }
  for (name in links) if (!(target_of(name, links[name]) in kinds)) refuse(name " leads out of it")
  if (left) refuse(left " of its files are not there")
}
END_OF_AWK
  said=$(awk -f "$scratch/members.awk" others="$scratch/others" \
    part=1 "$scratch/expected" part=2 "$scratch/names" part=3 "$scratch/kinds") || die 'the bundle cannot be read'
  [ -z "$said" ] || die "the secrets bundle is refused: $said: use another point, or GNU tar"
}

look_at_secrets() {
  need age
  need tar
  need sha256sum
  [ -n "$identity" ] || die 'the secrets need --identity FILE; --only database and --only blobs do without'
  open_bundle >/dev/null
  [ ! -e "$scratch/refused" ] || die "$identity does not open the secrets bundle"
  look_at_members
  # The index has a path and a hash in a line.
  wanted=$(show_index | sed -n 's/^  \(".*": "[0-9a-f]\{64\}"\),\{0,1\}$/\1/p' | sort)
  [ -n "$wanted" ] || [ "$secrets_count" -eq 0 ] || die 'the secrets bundle has no index: unpack it by hand (see RECOVERY.txt)'
  each_secret refuse_secret
  refuse_others
  say "  $secrets_count secret files to ${root:-their old places}"
}

restore_secrets() {
  say "restores the secrets"
  # Directories that have to be made are for everybody; files and directories of the bundle bring their modes.
  index=$root/drkit-bundle.json
  (
    umask 022
    mkdir -p "$root/"
    open_bundle | tar --numeric-owner -xpf - -C "$root/"
  )
  rm -f -- "$index"
  index=
  [ ! -e "$scratch/refused" ] || die 'the secrets bundle could not be read to its end: use another point'
  found=$(each_secret hash_secret | sort)
  [ "$found" = "$wanted" ] || die 'the secret files are not what was packed: use another point'
  say "$secrets_count secret files are back, each with the hash that it was packed with"
}
{% endif %}

[ -z "$identity" ] || [ -r "$identity" ] || die "cannot read $identity"
need restic
need awk
need sed
need sort
need find
[ -n "${RESTIC_REPOSITORY:-}${RESTIC_REPOSITORY_FILE:-}" ] || die 'set RESTIC_REPOSITORY to the repository'
scratch=$(mktemp -d "${work%/}/recover.XXXXXX") || die "cannot make a directory in $work: see --work"
# Everything that is small is in the seal, beside this script.
seal=$scratch/seal
restic -q restore latest --tag {{ seal_tags }} --target "$seal" >/dev/null ||
  die "the seal of $point cannot be read: see RESTIC_REPOSITORY and RESTIC_PASSWORD_FILE, or use another point"
restic -q snapshots --json --tag {{ point_tag }} >"$scratch/snapshots"
[ -z "$(find "$seal" ! -type f ! -type d)" ] || die "the seal of $point holds more than files: use another point"

say "recovery point $point of $site, consistent at $consistent_at; this will be restored:"
anything=
{% if databases %}
if wants database; then
  look_at_server
{% for database in databases %}
  database_{{ loop.index }}
  look_at_database
{% endfor %}
  anything=yes
fi
{% endif %}
{% if blobs %}
if wants blobs; then look_at_blobs; anything=yes; fi
{% endif %}
{% if secrets %}
if wants secrets; then look_at_secrets; anything=yes; fi
{% endif %}
[ -n "$anything" ] || die "this point has no $only"
[ "$(id -u)" -eq 0 ] || warn 'owners of files are not restored: only root can give files away'
[ -z "$list" ] || exit 0
if [ -z "$yes" ]; then
  [ -t 0 ] || die 'nobody is here to answer: say --yes, or look first with --list'
  printf 'Go ahead? Type yes: '
  read -r answer
  [ "$answer" = yes ] || die 'nothing was changed'
fi

began=yes
{% if databases %}
if wants database; then
{% for database in databases %}
  database_{{ loop.index }}
  restore_database
{% endfor %}
fi
{% endif %}
{% if blobs %}
if wants blobs; then restore_blobs; fi
{% endif %}
{% if secrets %}
if wants secrets; then restore_secrets; fi
{% endif %}

say ''
if [ -n "$incomplete" ]; then
  say "recovery point $point is back, but not all of its images: see the warnings. Next:"
else
  say "recovery point $point is back. Next:"
fi
{% for step in steps %}
say {{ "  %d. %s" | format(loop.index, step) }}
{% endfor %}
[ -z "$incomplete" ] || { began=; exit 1; }
