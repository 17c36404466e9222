# vagrant up, halt, up and destroy of each machine, without a machine: every action of the provider,
# and nothing that answers.
#
#   ruby life.rb             testdriver.rb tells what has to be set; ssh_key has to exist
#
# Says what is not as it has to be, and then ends with exit code 1.
require_relative "testdriver"
require "vagrant/action/builtin/wait_for_communicator"

class Vagrant::Action::Builtin::WaitForCommunicator
  def call(env)
    @app.call(env) # nobody answers
  end
end

failed = []
environment = Vagrant::Environment.new(ui_class: Vagrant::UI::Basic)
environment.machine_names.each do |name|
  own = FailoverHarness.machine(name)
  machine = environment.machine(name, :libvirt)
  $connection = machine.provider.driver.connection
  definition = -> { $connection.client.lookup_domain_by_uuid(machine.id).xml_desc(2) }

  machine.action(:up)
  first = definition.call
  failed << "#{name} does not run" unless machine.state.id == :running
  failed << "#{name} is not looked for at its address" unless machine.ssh_info[:host] == own["address"]
  %w[<serial>seed</serial> -console' .log'].each do |part|
    failed << "#{name} is started without #{part}" unless first.include?(part)
  end
  machine.action(:halt, force_halt: true)
  machine.action(:up)
  failed << "#{name} is another machine after halt and up" unless definition.call == first
  machine.action(:destroy, force_confirm_destroy: true)
  failed << "#{name} is left" unless machine.state.id == :not_created
end
left = $connection.client.list_all_networks.map(&:name).select { |name| name.start_with?("fh") }
failed << "networks are left: #{left.join(", ")}" unless left.empty?
$stderr.puts(failed.empty? ? "as it has to be" : failed.join("\n"))
exit(failed.empty? ? 0 : 1)
