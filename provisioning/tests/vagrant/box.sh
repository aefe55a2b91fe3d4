#!/usr/bin/env bash
# Makes a box for Vagrant's libvirt provider from Debian's packages, with Docker and images in it: for machines that
# reach a Debian mirror and no catalogue of boxes, and whose virtual machines are too slow to install much.
#   box.sh FOLDER IMAGE…     leaves FOLDER/atalaia.box; made anew only when an image or this script has changed
# Needs root, and an engine that has the images. FOLDER/tree, a Debian without the images, is kept for the next time.
set -euo pipefail

folder=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$folder/tree
box=$folder/atalaia.box
work=$folder/box.work
size_gb=10

base=(
  systemd systemd-sysv dbus udev openssh-server sudo rsync iproute2 iputils-ping ifupdown isc-dhcp-client kmod
  ca-certificates curl procps linux-image-cloud-amd64 initramfs-tools zstd busybox less
)
# What provision.sh would install inside.
guest=(docker.io apparmor iptables binutils)
# Timers that would start programs while a test runs, and cannot do their work in it anyway.
quiet=(
  apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer man-db.timer
  e2scrub_reap.service systemd-pstore.service
)

fail() {
  echo "box: $1" >&2
  exit 1
}

mirror() {
  awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true
}

# logged NAME COMMAND…: its output in a file, the end of it when it fails.
logged() {
  local log=$folder/$1.log
  shift
  "$@" >"$log" 2>&1 || { tail -n 5 "$log" >&2; fail "$1 failed (all of it in $log)"; }
}

in_tree() {
  chroot "$1" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "${@:2}"
}

make_tree() {
  rm -rf "$tree" "$tree.new"
  logged debootstrap debootstrap --variant=minbase --components=main --include="$(IFS=,; echo "${base[*]}")" \
    bookworm "$tree.new" "$(mirror)"
  cp /etc/resolv.conf "$tree.new/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$tree.new/usr/sbin/policy-rc.d"
  chmod +x "$tree.new/usr/sbin/policy-rc.d"
  logged packages in_tree "$tree.new" apt-get install -y -q --no-install-recommends "${guest[@]}"
  rm -rf "$tree.new/usr/sbin/policy-rc.d" "$tree.new/etc/resolv.conf" "$tree.new"/var/lib/apt/lists/* "$tree.new"/var/cache/apt/*.bin
  make_guest "$tree.new"
  mv "$tree.new" "$tree"
}

# What Vagrant expects of a guest: a user with its public key who may do everything, an address by DHCP.
make_guest() {
  local root=$1 key unit
  key=$(find / -xdev -path '*/keys/vagrant.pub' -print -quit 2>/dev/null)
  [[ -n $key ]] || fail "Vagrant's public key is not on this machine; provisioning/local/setup.sh vm installs it"
  echo debian >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >"$root/etc/hosts"
  printf 'LABEL=root / ext4 defaults,noatime 0 1\n' >"$root/etc/fstab"
  printf '%s\n' 'source /etc/network/interfaces.d/*' 'auto lo eth0' 'iface lo inet loopback' 'allow-hotplug eth0' \
    'iface eth0 inet dhcp' >"$root/etc/network/interfaces"
  in_tree "$root" useradd -m -s /bin/bash -G docker vagrant
  printf 'root:vagrant\nvagrant:vagrant\n' | in_tree "$root" chpasswd
  echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
  chmod 440 "$root/etc/sudoers.d/vagrant"
  install -d -m 700 "$root/home/vagrant/.ssh"
  install -m 600 "$key" "$root/home/vagrant/.ssh/authorized_keys"
  in_tree "$root" chown -R vagrant:vagrant /home/vagrant
  printf 'UseDNS no\nGSSAPIAuthentication no\n' >"$root/etc/ssh/sshd_config.d/vagrant.conf"
  for unit in "${quiet[@]}"; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
  in_tree "$root" systemctl enable ssh networking docker >/dev/null 2>&1
  # The drivers of this kind of machine and no others: unpacking all takes an emulator half a minute.
  sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=zstd/' "$root/etc/initramfs-tools/initramfs.conf"
  printf '%s\n' virtio_pci virtio_blk virtio_scsi sd_mod ext4 crc32c_generic >"$root/etc/initramfs-tools/modules"
  logged initramfs in_tree "$root" update-initramfs -u
  forget_identity "$root"
}

# Two machines with one id would get one address.
forget_identity() {
  : >"$1/etc/machine-id"
  rm -f "$1/var/lib/dbus/machine-id"
}

# By a throw-away engine with its data in the tree, and a network and mounts of its own.
put_images_in() {
  local root=$1 archive=$work/images.tar
  shift
  docker save -o "$archive" "$@"
  export root work archive
  # shellcheck disable=SC2016
  logged engine unshare -m -n --propagation private bash -euc '
    ip link set lo up
    dockerd --data-root "$root/var/lib/docker" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
      --host "unix://$work/docker.sock" --containerd-namespace box --iptables=false --bridge=none --storage-driver overlay2 &
    pid=$!
    for _ in $(seq 120); do docker -H "unix://$work/docker.sock" info >/dev/null 2>&1 && break; sleep 0.5; done
    docker -H "unix://$work/docker.sock" load -q -i "$archive"
    kill "$pid"
    wait "$pid" || true'
  rm -rf "$archive" "$root"/var/lib/docker/{runtimes,network,swarm,containers,tmp}
  forget_identity "$root"
}

loop=''
release() {
  if mountpoint -q "$work/mount" 2>/dev/null; then umount "$work/mount"; fi
  if [[ -n $loop ]]; then losetup -d "$loop"; fi
  loop=''
}

make_disk() {
  local root=$1 disk=$work/disk.raw kernel initrd
  truncate -s "${size_gb}G" "$disk"
  echo 'start=2048, type=83, bootable' | sfdisk -q "$disk"
  dd if=/usr/lib/EXTLINUX/mbr.bin of="$disk" conv=notrunc bs=440 count=1 status=none
  loop=$(losetup -f --show -o $((2048 * 512)) "$disk")
  # Without features that this boot loader does not read.
  mkfs.ext4 -q -L root -O ^metadata_csum,^64bit -d "$root" "$loop"
  mkdir "$work/mount"
  mount "$loop" "$work/mount"
  mkdir -p "$work/mount/boot/extlinux"
  kernel=$(find "$root/boot" -name 'vmlinuz-*' -printf '%f\n' | sort -V | tail -n 1)
  initrd=initrd.img-${kernel#vmlinuz-}
  printf '%s\n' 'default linux' 'prompt 0' 'timeout 0' 'label linux' "  kernel /boot/$kernel" \
    "  append initrd=/boot/$initrd root=LABEL=root ro console=ttyS0 net.ifnames=0 biosdevname=0 mitigations=off quiet" \
    >"$work/mount/boot/extlinux/extlinux.conf"
  extlinux --install "$work/mount/boot/extlinux" 2>/dev/null
  release
  qemu-img convert -O qcow2 "$disk" "$work/box.img"
  rm "$disk"
}

# Where the processor does not virtualise, QEMU emulates one.
write_vagrantfile() {
  local driver=kvm cpu='libvirt.cpu_mode = "host-passthrough"'
  if ! grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo || [[ ! -w /dev/kvm ]]; then
    driver=qemu cpu='libvirt.cpu_mode = "custom"; libvirt.cpu_model = "qemu64"'
  fi
  cat >"$work/Vagrantfile" <<V
Vagrant.configure("2") do |config|
  config.ssh.insert_key = false
  config.vm.boot_timeout = 900
  config.vm.provider(:libvirt) do |libvirt|
    libvirt.uri = "qemu:///system"
    libvirt.driver = "$driver"
    $cpu
    libvirt.graphics_type = "none"
    libvirt.video_type = "none"
    # The machines of a test need not outlive a loss of power.
    libvirt.disk_driver cache: "unsafe"
  end
end
V
}

make_box() {
  rm -rf "$work"
  mkdir -p "$work"
  trap release EXIT
  cp -a "$tree" "$work/tree"
  put_images_in "$work/tree" "$@"
  make_disk "$work/tree"
  write_vagrantfile
  printf '{"provider":"libvirt","format":"qcow2","virtual_size":%d}' "$size_gb" >"$work/metadata.json"
  tar -C "$work" -cf "$box.new" metadata.json Vagrantfile box.img
  mv "$box.new" "$box"
  rm -rf "$work"
}

# is_of FILE SUM: whether what lies beside FILE was made of what has this sum.
is_of() {
  [[ -e $1 && $(cat "$1.sum" 2>/dev/null) == "$2" ]]
}

mkdir -p "$folder"
of_tree=$(sha256sum "$here/box.sh" | cut -d ' ' -f 1)
of_box=$( (echo "$of_tree" && docker image inspect -f '{{.Id}}' "$@") | sha256sum | cut -d ' ' -f 1)
if ! is_of "$tree" "$of_tree"; then
  make_tree
  echo "$of_tree" >"$tree.sum"
  echo "box: installed a Debian of $(du -sh "$tree" | cut -f 1) ($SECONDS s)"
fi
if is_of "$box" "$of_box"; then
  echo "box: $box is there, and of these images"
else
  make_box "$@"
  echo "$of_box" >"$box.sum"
  echo "box: made $box, $(du -h "$box" | cut -f 1), with $# images ($SECONDS s)"
fi
